//! The contract's numbered sentences, parsed from its documentation.

use std::{fmt, sync::OnceLock};

/// The source of the contract's documentation, so that the kit needs no second copy of a sentence, which could differ.
const CONTRACT: [&str; 2] = [include_str!("../store/contract.rs"), include_str!("../store/capability.rs")];

/// A numbered sentence of the contract, such as `U1`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct Sentence {
    /// Its number in the documentation of [`SessionStore`](crate::SessionStore).
    pub number: String,
    /// Its text, as written there.
    pub text: String,
}

impl fmt::Display for Sentence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.number, self.text)
    }
}

/// Every numbered sentence of the contract, in the order in which they are written.
#[must_use]
pub fn sentences() -> &'static [Sentence] {
    static SENTENCES: OnceLock<Vec<Sentence>> = OnceLock::new();
    SENTENCES.get_or_init(|| CONTRACT.into_iter().flat_map(parse).collect())
}

/// Returns the text of the sentence with this number.
pub(super) fn text_of(number: &str) -> &'static str {
    sentences()
        .iter()
        .find(|sentence| sentence.number == number)
        .map_or("(the contract has no sentence of this number)", |sentence| &sentence.text)
}

/// Parses sentences: each begins with `- **X1** ` in a documentation comment and continues in lines that are indented
/// by two.
fn parse(source: &str) -> Vec<Sentence> {
    let mut sentences: Vec<Sentence> = Vec::new();
    let mut inside = false;
    for line in source.lines() {
        let Some(line) = line.trim_start().strip_prefix("///") else {
            inside = false;
            continue;
        };
        if let Some((number, text)) = line.strip_prefix(" - **").and_then(|line| line.split_once("** ")) {
            sentences.push(Sentence { number: number.to_owned(), text: text.to_owned() });
            inside = true;
        } else if let Some(more) = line.strip_prefix("   ").filter(|_| inside) {
            if let Some(sentence) = sentences.last_mut() {
                sentence.text.push(' ');
                sentence.text.push_str(more.trim_start());
            }
        } else {
            inside = false;
        }
    }
    sentences
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sentence_goes_on_over_lines_and_ends_with_its_paragraph() {
        let source = "    /// Text.\n    ///\n    /// - **A1** One\n    ///   two.\n    /// - **A2** Three.\n    ///\n    ///   not this";
        let found: Vec<_> = parse(source).iter().map(ToString::to_string).collect();
        assert_eq!(found, ["A1: One two.", "A2: Three."]);
    }
}
