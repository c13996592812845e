//! The servers that these tests start: they answer, keep their data, and end with the tests.

use std::{
    process::{Command, Stdio},
    time::{Duration, Instant, SystemTime},
};

use crate::server::{Bouncer, Product, Server, Setup, fresh_name};

#[test]
fn each_server_answers() {
    for product in Product::ALL {
        let server = Server::shared(product);
        let database = server.database();
        assert_eq!(server.sql(&database, "SELECT 1"), "1", "{product:?}");
        assert!(server.url(&database).ends_with(&format!("127.0.0.1:{}/{database}", server.port())));
        let refused = server.try_sql(&database, "SELECT no_such_column").expect_err("it has none");
        assert!(refused.contains("no_such_column"), "{product:?}: {refused}");
        assert!(server.socket().exists());
    }
}

#[test]
fn a_killed_server_keeps_what_was_committed() {
    for product in Product::ALL {
        let mut server = Server::start(product, &[]);
        let (database, port) = (server.database(), server.port());
        server.sql(&database, "CREATE TABLE kept (n INT); INSERT INTO kept VALUES (7)");
        server.kill();
        assert!(server.try_sql(&database, "SELECT 1").is_err(), "{product:?}");
        server.restart();
        assert_eq!((server.port(), server.sql(&database, "SELECT n FROM kept").as_str()), (port, "7"), "{product:?}");
        server.shut_down();
        server.restart();
        assert_eq!(server.sql(&database, "SELECT n FROM kept"), "7", "{product:?}");
    }
}

#[test]
fn a_stopped_server_accepts_and_answers_nothing() {
    for product in Product::ALL {
        let server = Server::start(product, &[]);
        let database = server.database();
        server.stop();
        let mut client = server.client(&database);
        let select = if product == Product::Postgres { "-c" } else { "-e" };
        let mut waiting = client.args([select, "SELECT 1"]).stdout(Stdio::null()).spawn().expect("a client");
        // There is no event to wait for: an answer within this time is the failure.
        std::thread::sleep(Duration::from_millis(300));
        assert!(waiting.try_wait().expect("its state").is_none(), "{product:?} answered");
        server.resume();
        assert!(waiting.wait().expect("its state").success(), "{product:?}");
    }
}

#[test]
fn a_servers_clock_can_be_an_hour_off() {
    for (product, seconds) in
        [(Product::Postgres, "SELECT floor(extract(epoch FROM now()))"), (Product::MariaDb, "SELECT UNIX_TIMESTAMP()")]
    {
        for (clock, off) in [("+3600s", 3_600), ("-3600s", -3_600)] {
            let server = Server::start_with(product, Setup { clock: Some(clock), ..Setup::default() });
            let theirs: i64 = server.sql(&server.database(), seconds).parse().expect("seconds");
            let ours = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).expect("after 1970").as_secs();
            let difference = theirs - i64::try_from(ours).expect("it fits") - off;
            assert!(difference.abs() < 600, "{product:?} with {clock} is {difference} s from it");
        }
    }
}

#[test]
fn a_bouncer_lends_one_connection_to_several_clients() {
    let server = Server::shared(Product::Postgres);
    let (bouncer, database) = (Bouncer::start(server, &["default_pool_size = 1"]), server.database());
    let ask = || {
        let mut command = server.client(&database);
        command.args(["-h", "127.0.0.1", "-p", &bouncer.port().to_string(), "-Atc", "SELECT pg_backend_pid()"]);
        let output = command.output().expect("a client");
        assert!(output.status.success(), "{output:?}\n{}", bouncer.log());
        String::from_utf8(output.stdout).expect("a number")
    };
    assert_eq!(ask(), ask());
}

/// Even if a test's process is killed, none of its servers and folders is left.
#[test]
fn servers_end_with_the_tests_process() {
    const NAME: &str = "SESSION_LAYER_SERVER_TO_LEAVE";
    if std::env::var_os(NAME).is_some() {
        let server = Server::shared(Product::Postgres);
        println!("server {} {}", server.process(), server.folder().display());
        std::process::abort();
    }
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["servers::servers_end_with_the_tests_process", "--exact", "--nocapture"]).env(NAME, "yes");
    let output = command.output().expect("this program");
    let text = String::from_utf8_lossy(&output.stdout);
    let line = text.lines().find_map(|line| line.strip_prefix("server ")).expect("it started a server");
    let (process, folder) = line.split_once(' ').expect("two words");
    let limit = Instant::now() + Duration::from_secs(30);
    let runs = || Command::new("kill").args(["-0", process]).output().unwrap().status.success();
    while runs() || std::path::Path::new(folder).exists() {
        assert!(Instant::now() < limit, "{process} runs: {}, or {folder} is left", runs());
        std::thread::sleep(Duration::from_millis(10));
    }
}

#[test]
fn names_are_fresh() {
    assert_ne!(fresh_name("table"), fresh_name("table"));
}
