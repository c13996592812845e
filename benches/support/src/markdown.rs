//! Tables in Markdown.

/// Formats a table whose first column has no name.
pub fn table(columns: &[impl AsRef<str>], rows: impl IntoIterator<Item = (String, Vec<String>)>) -> String {
    let mut text = line("", columns.iter().map(AsRef::as_ref));
    text += &format!("|---|{}\n", "---|".repeat(columns.len()));
    for (name, cells) in rows {
        text += &line(&name, cells.iter().map(String::as_str));
    }
    text
}

fn line<'a>(name: &str, cells: impl Iterator<Item = &'a str>) -> String {
    let mut line = format!("| {name} |");
    for cell in cells {
        line += &format!(" {cell} |");
    }
    line + "\n"
}

/// Formats a number with a comma after every three digits.
pub fn thousands(number: f64) -> String {
    let digits = format!("{number:.0}");
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) && !text.ends_with('-') {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// Formats a time with three significant digits and its unit.
pub fn time(microseconds: f64) -> String {
    match microseconds {
        ..100.0 => format!("{microseconds:.2} µs"),
        ..1_000.0 => format!("{microseconds:.0} µs"),
        _ => format!("{:.2} ms", microseconds / 1e3),
    }
}

#[cfg(test)]
mod tests {
    use super::{table, thousands, time};

    #[test]
    fn numbers_are_as_people_read_them() {
        assert_eq!([0.0, 999.4, 1_000.0, -1_234_567.0].map(thousands), ["0", "999", "1,000", "-1,234,567"]);
        assert_eq!([0.812, 123.4, 4_321.0].map(time), ["0.81 µs", "123 µs", "4.32 ms"]);
    }

    #[test]
    fn a_table_has_a_line_under_its_head() {
        let rows = [("x".to_owned(), vec!["1".to_owned(), "2".to_owned()])];
        assert_eq!(table(&["a", "b"], rows), "|  | a | b |\n|---|---|---|\n| x | 1 | 2 |\n");
    }
}
