//! Statements and their arguments.

use std::{fmt::Write as _, sync::Arc};

use super::{dialect::Dialect, value::Value};

/// A statement in one dialect.
///
/// In its template, `{1}` stands for the first argument, and so on. An argument can be used several times and in any
/// order, so all statements of one operation can take the same arguments.
#[derive(Debug)]
pub(super) struct Statement {
    text: Arc<str>,
    /// The number of the argument for each placeholder of the text.
    order: Vec<usize>,
    template: String,
    dialect: &'static Dialect,
}

impl Statement {
    pub(super) fn new(dialect: &'static Dialect, template: impl Into<String>) -> Arc<Self> {
        let (template, mut text, mut order) = (template.into(), String::new(), Vec::new());
        for piece in pieces(&template) {
            match (piece, dialect.numbered) {
                (Piece::Text(part), _) => text.push_str(part),
                (Piece::Argument(number), None) => {
                    order.push(number);
                    text.push('?');
                }
                (Piece::Argument(number), Some(mark)) => {
                    let place = order.iter().position(|known| *known == number).unwrap_or_else(|| {
                        order.push(number);
                        order.len() - 1
                    });
                    let _ = write!(text, "{mark}{}", place + 1);
                }
            }
        }
        Arc::new(Self { text: text.into(), order, template, dialect })
    }

    /// The text with placeholders.
    pub(super) fn text(&self) -> &Arc<str> {
        &self.text
    }

    /// Returns the values for the text's placeholders, given the operation's arguments.
    pub(super) fn values<'a>(&'a self, arguments: &'a [Value]) -> impl Iterator<Item = &'a Value> {
        self.order.iter().filter_map(|number| arguments.get(number - 1))
    }

    /// Returns the text with the values as literals.
    pub(super) fn rendered(&self, arguments: &[Value]) -> String {
        let mut text = String::with_capacity(self.template.len() + 64);
        for piece in pieces(&self.template) {
            match piece {
                Piece::Text(part) => text.push_str(part),
                Piece::Argument(number) => match arguments.get(number - 1) {
                    Some(value) => literal(self.dialect, value, &mut text),
                    None => text.push_str("NULL"),
                },
            }
        }
        text
    }
}

enum Piece<'a> {
    Text(&'a str),
    Argument(usize),
}

fn pieces(template: &str) -> impl Iterator<Item = Piece<'_>> {
    template.split('{').enumerate().flat_map(|(at, part)| {
        let argument = (at > 0).then(|| part.split_once('}')).flatten();
        let argument = argument.and_then(|(number, rest)| Some((number.parse().ok()?, rest)));
        match argument {
            Some((number, rest)) => [Some(Piece::Argument(number)), Some(Piece::Text(rest))],
            None => [None, Some(Piece::Text(part))],
        }
        .into_iter()
        .flatten()
    })
}

/// Appends a value as a literal. Bytes become hexadecimal digits, so none of them can end the literal.
pub(super) fn literal(dialect: &Dialect, value: &Value, text: &mut String) {
    match value {
        Value::Int(number) => {
            let _ = write!(text, "{number}");
        }
        Value::Bytes(bytes) => {
            const DIGITS: &[u8; 16] = b"0123456789abcdef";
            text.reserve(bytes.len() * 2 + 16);
            text.push_str(dialect.bytes.0);
            for byte in bytes {
                text.push(char::from(DIGITS[usize::from(byte >> 4)]));
                text.push(char::from(DIGITS[usize::from(byte & 15)]));
            }
            text.push_str(dialect.bytes.1);
        }
        Value::NoInt => text.push_str("NULL"),
        Value::NoBytes => text.push_str(dialect.no_bytes),
    }
}

#[cfg(all(test, feature = "postgres", feature = "mysql"))]
mod tests {
    use super::{super::dialect, *};

    #[test]
    fn arguments_are_numbered_repeated_or_written_out() {
        let values = [Value::Int(7), Value::from(&b"\x00'"[..]), Value::NoBytes];
        let template = "UPDATE t SET a = {2}, b = {3} WHERE c = {1} AND d < {2}";
        let statement = Statement::new(&dialect::POSTGRES, template);
        assert_eq!(&**statement.text(), "UPDATE t SET a = $1, b = $2 WHERE c = $3 AND d < $1");
        let order: Vec<_> = statement.values(&values).cloned().collect();
        assert_eq!(order, [values[1].clone(), values[2].clone(), values[0].clone()]);
        assert_eq!(
            statement.rendered(&values),
            "UPDATE t SET a = E'\\\\x0027'::bytea, b = NULL::bytea WHERE c = 7 AND d < E'\\\\x0027'::bytea"
        );
        let statement = Statement::new(&dialect::MYSQL, template);
        assert_eq!(&**statement.text(), "UPDATE t SET a = ?, b = ? WHERE c = ? AND d < ?");
        assert_eq!(statement.values(&values).count(), 4);
        assert_eq!(statement.rendered(&values), "UPDATE t SET a = x'0027', b = NULL WHERE c = 7 AND d < x'0027'");
    }
}
