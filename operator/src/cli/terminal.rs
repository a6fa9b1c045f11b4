//! Where output goes: plain bytes, coloured only for a person at a terminal.

use std::io::{self, BufWriter, IsTerminal as _, Write};
use std::process::ExitCode;

use super::failure::Failure;

/// Whether colours are used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Colours {
    /// Never.
    Off,
    /// For words that say good or bad.
    On,
}

/// A colour of a word.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Colour {
    /// Good.
    Green,
    /// Bad.
    Red,
    /// Neither.
    Yellow,
}

/// Output of one command.
pub(super) struct Terminal {
    out: Box<dyn Write>,
    /// Whether what goes to `out` may be coloured.
    pub(super) colours: Colours,
}

impl Terminal {
    /// That of this process. Colours need a terminal, and `NO_COLOR` unset or empty.
    pub(super) fn of_process() -> Self {
        let wanted = std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
        let colours = if wanted && io::stdout().is_terminal() {
            Colours::On
        } else {
            Colours::Off
        };
        Self {
            out: Box::new(BufWriter::new(io::stdout())),
            colours,
        }
    }

    /// Prints a line.
    pub(super) fn line(&mut self, text: &str) -> Result<(), Failure> {
        writeln!(self.out, "{text}").map_err(Failure::Output)
    }

    /// Prints text as it is.
    pub(super) fn text(&mut self, text: &str) -> Result<(), Failure> {
        self.out.write_all(text.as_bytes()).map_err(Failure::Output)
    }

    /// Makes what was printed visible.
    pub(super) fn flush(&mut self) -> Result<(), Failure> {
        self.out.flush().map_err(Failure::Output)
    }

    /// Says something beside the output, for a person.
    pub(super) fn warn(&mut self, text: &str) {
        // What was printed before comes before. Nothing can be done about an error stream that is closed.
        let _ = self.out.flush();
        let _ = writeln!(io::stderr(), "warning: {text}");
    }

    /// Says something on the error stream that is neither output nor trouble.
    pub(super) fn note(&mut self, text: &str) {
        let _ = self.out.flush();
        let _ = writeln!(io::stderr(), "{text}");
    }

    /// Says on the error stream that something went wrong; the command goes on.
    pub(super) fn error(&mut self, text: &str) {
        let _ = self.out.flush();
        let _ = writeln!(io::stderr(), "error: {text}");
    }

    /// Says why the command came to nothing, and with what code it ends.
    pub(super) fn fail(&mut self, failure: &Failure) -> ExitCode {
        let code = failure.code();
        if code != 0 {
            self.error(&failure.to_string());
        }
        ExitCode::from(code)
    }

    /// The word in its colour, if there are colours.
    pub(super) fn paint(&self, colour: Colour, word: &str) -> String {
        let code = match (self.colours, colour) {
            (Colours::Off, _) => return word.to_owned(),
            (Colours::On, Colour::Green) => 32,
            (Colours::On, Colour::Red) => 31,
            (Colours::On, Colour::Yellow) => 33,
        };
        format!("\x1b[{code}m{word}\x1b[0m")
    }
}
