//! Tries all combinations of decisions, one after another.

/// A depth-first search. Each run repeats the decisions of the previous run up to the last one that has an alternative.
#[derive(Debug, Default)]
pub(crate) struct Search {
    /// The decisions, and the number of alternatives of each.
    decisions: Vec<(usize, usize)>,
    at: usize,
    pub(crate) runs: usize,
}

impl Search {
    /// Decides among `of` alternatives. While it repeats the previous run's decisions, a run must ask the same
    /// questions.
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

    /// Begins the next run. Returns `false` if all runs were made.
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
