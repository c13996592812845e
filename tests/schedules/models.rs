//! Small models, of which all interleavings are run.
