//! All decisions, one after another.

/// A depth-first search: each run repeats the decisions of the run before but the last one that could be another.
#[derive(Debug, Default)]
pub(crate) struct Search {
    /// What was decided, and of how many.
    decisions: Vec<(usize, usize)>,
    at: usize,
    pub(crate) runs: usize,
}

impl Search {
    /// Decides among so many. In a run, it must be asked the same questions as long as the answers are the same.
    pub(crate) fn choose(&mut self, of: usize) -> usize {
        let at = self.at;
        self.at += 1;
        if at == self.decisions.len() {
            self.decisions.push((0, of));
        }
        let (chosen, before) = self.decisions[at];
        assert_eq!(of, before, "the run is not repeated as it was");
        chosen
    }

    /// Goes on to the next run. `false` if all were made.
    pub(crate) fn next(&mut self) -> bool {
        self.runs += 1;
        self.decisions.truncate(self.at);
        self.at = 0;
        while let Some((chosen, of)) = self.decisions.pop() {
            if chosen + 1 < of {
                self.decisions.push((chosen + 1, of));
                return true;
            }
        }
        false
    }
}
