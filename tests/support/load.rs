//! The load of three application processes, whose clients check every answer, while faults come and go.

#![allow(dead_code, reason = "each test uses some of the helpers")]

use std::{
    io::{BufRead, BufReader, Lines, Write as _},
    ops::AddAssign,
    process::{Child, ChildStdin, ChildStdout},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use session_layer::DynStore;

use crate::{
    client::{self, Promise, World},
    support::random,
    worker,
};

const PROCESSES: u64 = 3;
/// The number of clients in each process.
const CLIENTS: u64 = 4;

/// The time limit of one request. The test's URL sets the same limit.
pub const LIMIT: Duration = Duration::from_millis(500);

/// How late a busy machine may notice that a request's time limit has passed.
const LATE: Duration = Duration::from_secs(3);

/// Longer than recovery takes on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);

/// How long the faults last: `SESSION_LAYER_CHAOS_SECONDS`, or this many seconds.
pub fn length(default: u64) -> Duration {
    let seconds = std::env::var("SESSION_LAYER_CHAOS_SECONDS").map_or(default, |text| text.parse().expect("seconds"));
    Duration::from_secs(seconds)
}

/// Sends a word to the first process. The test harness may have begun the line with words of its own.
fn say(word: &str) {
    println!("load: {word}");
}

/// Runs one of the processes: its clients continue until they are told to stop.
pub async fn serve(store: DynStore, words: &[&str]) {
    let (index, promise): (u64, usize) = (words[0].parse().unwrap(), words[1].parse().unwrap());
    let mut world = World::new(store, Promise::EACH[promise], LIMIT);
    world.first_byte = words.get(2).map(|byte| byte.parse().unwrap());
    let (world, stop) = (Arc::new(world), Arc::new(AtomicBool::new(false)));
    let (tasks, good) = client::run(&world, index * CLIENTS..(index + 1) * CLIENTS, &stop);
    let lateness = tokio::spawn({
        let world = Arc::clone(&world);
        async move { world.seen.note_lateness().await }
    });
    let (sender, mut lines) = tokio::sync::mpsc::unbounded_channel();
    std::thread::spawn(move || {
        for line in std::io::stdin().lines().map_while(Result::ok) {
            let _ = sender.send(line);
        }
    });
    while let Some(line) = lines.recv().await {
        match line.as_str() {
            "fault" | "healed" => {
                world.phase.fetch_add(1, Ordering::SeqCst);
                say("noted");
            }
            "recover" => {
                let start = Instant::now();
                let marks: Vec<_> = good.iter().map(|good| good.load(Ordering::SeqCst)).collect();
                // Two more steps, since the first may have begun before the mark.
                let has_recovered = |(good, mark): (&Arc<AtomicU64>, &u64)| good.load(Ordering::SeqCst) >= mark + 2;
                while !good.iter().zip(&marks).all(has_recovered) {
                    assert!(tasks.iter().all(|task| !task.is_finished()), "a client has failed");
                    assert!(start.elapsed() < PATIENCE, "not all clients recover");
                    tokio::time::sleep(Duration::from_millis(2)).await;
                }
                say(&format!("recovered {}", start.elapsed().as_micros()));
            }
            _ => break,
        }
    }
    lateness.abort();
    stop.store(true, Ordering::Relaxed);
    for task in tasks {
        task.await.unwrap().check_all(&world).await;
    }
    let numbers = world.seen.numbers().map(|number| number.to_string());
    say(&format!("seen {}", numbers.join(" ")));
}

/// The combined counts of all processes.
#[derive(Debug, Default)]
pub struct Report {
    pub answered: u64,
    pub errors: u64,
    pub timeouts: u64,
    pub unknown: u64,
    pub lost: u64,
    pub undone: u64,
    pub ended: u64,
    longest: Duration,
    overrun: Duration,
    late: Duration,
}

impl AddAssign<[u64; 10]> for Report {
    fn add_assign(&mut self, numbers: [u64; 10]) {
        let [answered, errors, timeouts, unknown, lost, undone, ended, longest, overrun, late] = numbers;
        self.answered += answered;
        self.errors += errors;
        self.timeouts += timeouts;
        self.unknown += unknown;
        self.lost += lost;
        self.undone += undone;
        self.ended += ended;
        self.longest = self.longest.max(Duration::from_micros(longest));
        self.overrun = self.overrun.max(Duration::from_micros(overrun));
        self.late = self.late.max(Duration::from_micros(late));
    }
}

struct Process {
    child: Child,
    stdin: ChildStdin,
    lines: Lines<BufReader<ChildStdout>>,
}

impl Process {
    fn start(index: u64, url: &str, promise: Promise, first_byte: Option<u8>) -> Self {
        let promise = Promise::EACH.iter().position(|each| *each == promise).expect("one of them");
        let byte = first_byte.map(|byte| format!(" {byte}")).unwrap_or_default();
        let mut child = worker::start("load", url, &format!("{index} {promise}{byte}"));
        let (stdin, stdout) = (child.stdin.take().unwrap(), child.stdout.take().unwrap());
        Self { child, stdin, lines: BufReader::new(stdout).lines() }
    }

    fn tell(&mut self, word: &str) {
        // If the process has failed, the missing answer shows it.
        let _ = writeln!(self.stdin, "{word}");
    }

    fn answer(&mut self) -> String {
        let said = self.lines.by_ref().map_while(Result::ok);
        let said = said.filter_map(|line| Some(line.split_once("load: ")?.1.to_owned())).next();
        said.unwrap_or_else(|| panic!("a process has failed: it says above why"))
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The processes of one test.
struct Processes(Vec<Process>);

impl Processes {
    /// Sends a word to all processes, and waits for their answers.
    fn tell(&mut self, word: &str) -> Vec<String> {
        self.0.iter_mut().for_each(|process| process.tell(word));
        self.0.iter_mut().map(Process::answer).collect()
    }

    /// Waits until every client has completed a step, and returns how long the slowest took.
    fn recover(&mut self) -> Duration {
        let answers = self.tell("recover");
        let micros = answers.iter().map(|answer| answer.strip_prefix("recovered ").unwrap().parse().unwrap());
        Duration::from_micros(micros.max().expect("some"))
    }

    fn stop(mut self) -> Report {
        let mut report = Report::default();
        for answer in self.tell("stop") {
            let numbers = answer.strip_prefix("seen ").unwrap().split(' ').map(|number| number.parse().unwrap());
            report += numbers.collect::<Vec<_>>().try_into().unwrap();
        }
        for process in &mut self.0 {
            // Reads to the end, so that the process never waits for a reader.
            process.lines.by_ref().for_each(drop);
            assert!(process.child.wait().unwrap().success(), "a process has failed: it says above why");
        }
        report
    }
}

/// The parameters of a test: the store's URL, what the store guarantees, and how long the faults last.
pub struct Load {
    pub name: String,
    pub url: String,
    pub promise: Promise,
    pub first_byte: Option<u8>,
    pub length: Duration,
    /// The minimum number of faults, even if they take longer.
    pub least: u32,
}

impl Load {
    /// Runs three processes while faults come and go. `fault` must return once the servers are healthy again.
    pub fn run(self, mut fault: impl FnMut(u32)) -> Report {
        let Self { name, url, promise, first_byte, length, least } = self;
        let mut processes =
            Processes((0..PROCESSES).map(|index| Process::start(index, &url, promise, first_byte)).collect());
        processes.recover();
        let (start, mut faults, mut recovery) = (Instant::now(), 0, Duration::ZERO);
        while start.elapsed() < length || faults < least {
            processes.tell("fault");
            fault(faults);
            recovery = recovery.max(processes.recover());
            processes.tell("healed");
            // Until the next fault, everything is guaranteed.
            std::thread::sleep(pause(300));
            recovery = recovery.max(processes.recover());
            faults += 1;
        }
        let report = processes.stop();
        let Report { answered, errors, timeouts, unknown, lost, undone, ended, longest, overrun, late } = &report;
        eprintln!(
            "{name}: {faults} faults in {:?}: {answered} calls answered, {errors} errors, {timeouts} timeouts, {unknown} \
             outcomes unknown; {ended} sessions ended; taken back: {lost} states, {undone} ends; longest call \
             {longest:?}, over its limits {overrun:?}, on a machine that was {late:?} late; longest recovery {recovery:?}",
            start.elapsed(),
        );
        assert!(*answered > 100 && *ended > 0, "{name}: hardly anything was done");
        assert!(*overrun < LATE + *late, "{name}: a call exceeded its limit by {overrun:?}");
        if matches!(promise, Promise::All | Promise::Acknowledged) {
            assert_eq!((*lost, *undone), (0, 0), "{name}");
        }
        report
    }
}

/// A random pause, shorter than this.
pub fn pause(most_millis: u64) -> Duration {
    Duration::from_millis(random() % most_millis)
}
