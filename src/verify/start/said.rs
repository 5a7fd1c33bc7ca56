//! What a program prints → the words that it prints wherever it runs.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use regex::Regex;
use serde::{Deserialize, Serialize};

/// Bytes of an output that are looked at.
const MOST: usize = 64 << 10;

/// Words with how often each is printed. In no order: threads take turns, and usage lines are wrapped by the program's name.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::verify) struct Said(BTreeMap<String, usize>);

impl Said {
    /// Without what is another's in each run or each world: numbers, absolute paths, and how the program is called (`names`).
    pub(super) fn of(output: &str, names: &[String]) -> Self {
        static MODULE: LazyLock<Regex> = LazyLock::new(|| pattern(r"\bpython[\d.]* -m [\w.]+"));
        static PATH: LazyLock<Regex> = LazyLock::new(|| pattern(r#"(^|[\s'"`(\[{=,;|])/[^\s'"`,;:()\[\]{}<>|]+"#));
        static NUMBER: LazyLock<Regex> = LazyLock::new(|| pattern(r"0[xX][0-9a-fA-F]+|[0-9]+([.,:][0-9]+)*"));
        let end = (0..=output.len().min(MOST)).rev().find(|end| output.is_char_boundary(*end)).unwrap_or(0);
        let text = MODULE.replace_all(&output[..end], PROGRAM);
        let text = PATH.replace_all(&text, "$1<path>");
        let mut words = BTreeMap::new();
        for word in text.split_whitespace() {
            let bare = word.trim_matches(|end: char| end.is_ascii_punctuation() && !"-_<>".contains(end));
            let word =
                if names.iter().any(|name| name == bare) { word.replacen(bare, PROGRAM, 1) } else { word.to_owned() };
            *words.entry(NUMBER.replace_all(&word, "#").into_owned()).or_default() += 1;
        }
        Self(words)
    }

    /// What is printed here, or more often, than there.
    pub(in crate::verify) fn beyond(&self, there: &Self) -> String {
        const SHOWN: usize = 12;
        let more = self.0.iter().filter(|(word, times)| there.0.get(*word).is_none_or(|known| known < times));
        let words: Vec<&str> = more.map(|(word, _)| word.as_str()).collect();
        match words.len() {
            0 => "nothing else".to_owned(),
            count if count > SHOWN => format!("{} and {} more words", words[..SHOWN].join(" "), count - SHOWN),
            _ => words.join(" "),
        }
    }
}

const PROGRAM: &str = "<program>";

fn pattern(text: &str) -> Regex {
    Regex::new(text).unwrap_or_else(|error| unreachable!("{error}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(output: &str) -> Said {
        Said::of(output, &["main.py".to_owned(), "tool".to_owned(), "-c".to_owned()])
    }

    #[test]
    fn what_each_run_and_each_world_has_of_its_own_is_left_out() {
        for (unpackaged, packed) in [
            ("usage: main.py [-h]\n               NAME", "usage: tool [-h] NAME"),
            ("Usage: python -m shop [OPTIONS]", "Usage: tool [OPTIONS]"),
            ("-c: no command", "tool: no command"),
            ("loaded /home/me/.venv/lib/x.py in 0.31 s", "loaded /cache/tool-1/lib/x.py in 12 s"),
            ("File \"/a/b.py\", line 3", "File \"/c/tree/b.py\", line 3"),
            ("a\nb\n<object at 0x7f00aa>", "b\na\n<object at 0x55ffee>"),
            ("path=/a/b", "path=/c"),
        ] {
            assert_eq!(said(unpackaged), said(packed), "{unpackaged}");
        }
    }

    #[test]
    fn what_a_program_does_shows() {
        for (unpackaged, packed) in [
            ("b'hi'", "b'<!doctype html>'"),
            ("http://127.0.0.1:5000/x", "http://127.0.0.1:5000/y"),
            ("a a b", "a b b"),
            ("found", ""),
            ("1 template", "no template"),
        ] {
            assert_ne!(said(unpackaged), said(packed), "{unpackaged}");
        }
        assert_eq!(said("all is well").beyond(&said("all is lost")), "well");
        assert_eq!(said("all").beyond(&said("all is lost")), "nothing else");
    }
}
