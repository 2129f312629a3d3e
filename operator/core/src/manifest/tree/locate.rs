//! From a byte of a scalar's value back to the place in the file where it was written.

use super::Mark;

/// Walks the source of a scalar and its value side by side.
pub(super) fn locate(source: &str, mark: Mark, value: &str, offset: usize, length: usize) -> Mark {
    let Some(raw) = source.get(mark.start as usize..(mark.end as usize).min(source.len())) else {
        return mark;
    };
    let mut walk = Walk::new(raw, mark);
    let (mut start, mut end) = (None, None);
    for (at, wanted) in value.char_indices() {
        if at == offset {
            start = walk.before(wanted);
        }
        if at == offset + length {
            break;
        }
        let Some(()) = walk.consume(wanted) else { return mark };
        end = Some(walk.here());
    }
    if start.is_none() && offset >= value.len() {
        start = Some(walk.here());
    }
    let Some(start) = start else { return mark };
    let end = end.unwrap_or(start);
    let length =
        if end.line == start.line && end.column > start.column { end.column - start.column } else { 1 };
    Mark {
        line: start.line,
        column: start.column,
        length,
        start: start.byte,
        end: end.byte.max(start.byte),
        block: false,
    }
}

#[derive(Clone, Copy)]
struct Position {
    line: u32,
    column: u32,
    byte: u32,
}

#[derive(Clone, Copy, PartialEq)]
enum Style {
    Plain,
    Single,
    Double,
    Block,
}

struct Walk<'a> {
    rest: std::iter::Peekable<std::str::Chars<'a>>,
    at: Position,
    style: Style,
    /// Columns by which a block's lines are indented.
    indent: u32,
}

impl<'a> Walk<'a> {
    fn new(raw: &'a str, mark: Mark) -> Self {
        let style = match raw.chars().next() {
            _ if mark.block => Style::Block,
            Some('"') => Style::Double,
            Some('\'') => Style::Single,
            _ => Style::Plain,
        };
        let at = Position { line: mark.line, column: mark.column, byte: mark.start };
        let indent = if mark.block { mark.column - 1 } else { u32::MAX };
        let mut walk = Walk { rest: raw.chars().peekable(), at, style, indent };
        if matches!(style, Style::Single | Style::Double) {
            walk.step();
        }
        walk
    }

    fn here(&self) -> Position {
        self.at
    }

    fn step(&mut self) -> Option<char> {
        let c = self.rest.next()?;
        self.at.byte += u32::try_from(c.len_utf8()).unwrap_or(1);
        if c == '\n' {
            self.at.line += 1;
            self.at.column = 1;
        } else {
            self.at.column += 1;
        }
        Some(c)
    }

    fn skip_indent(&mut self) {
        while self.at.column <= self.indent && self.rest.peek().is_some_and(|c| matches!(c, ' ' | '\t')) {
            self.step();
        }
    }

    /// Where the next character of the value, which is `wanted`, stands: behind any line break that the value does not have.
    fn before(&mut self, wanted: char) -> Option<Position> {
        if !matches!(wanted, ' ' | '\n' | '\t') {
            while self.rest.peek().is_some_and(|c| matches!(c, '\n' | '\r')) {
                self.step();
                self.skip_indent();
            }
        }
        Some(self.at)
    }

    /// Takes the source of one character of the value.
    fn consume(&mut self, wanted: char) -> Option<()> {
        loop {
            let c = *self.rest.peek()?;
            match c {
                '\\' if self.style == Style::Double => {
                    self.step();
                    return match self.step()? {
                        '\n' | '\r' => {
                            self.skip_indent();
                            continue;
                        }
                        'x' => self.steps(2),
                        'u' => {
                            self.steps(4)?;
                            // A character beyond the basic plane may be written as two escapes.
                            if u32::from(wanted) > 0xFFFF && self.rest.peek() == Some(&'\\') {
                                self.steps(6)
                            } else {
                                Some(())
                            }
                        }
                        'U' => self.steps(8),
                        _ => Some(()),
                    };
                }
                '\'' if self.style == Style::Single => {
                    self.step();
                    self.step();
                    return Some(());
                }
                _ if c == wanted => {
                    self.step();
                    if c == '\n' {
                        self.skip_indent();
                    }
                    return Some(());
                }
                // Empty lines before the first: the mark of a block stands behind them.
                _ if self.style == Style::Block && wanted == '\n' => return Some(()),
                // A fold: white space around a line break stands for one space, or for the breaks beyond the first.
                '\n' | '\r' | ' ' | '\t' => {
                    self.step();
                    if c == '\n' {
                        self.skip_indent();
                        if wanted == ' ' || (wanted == '\n' && self.rest.peek() != Some(&'\n')) {
                            return Some(());
                        }
                    }
                }
                _ => return None,
            }
        }
    }

    fn steps(&mut self, count: usize) -> Option<()> {
        for _ in 0..count {
            self.step()?;
        }
        Some(())
    }
}
