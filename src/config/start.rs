//! `[start]` and `[[start]]`, validated.

use std::collections::BTreeSet;

use regex::Regex;
use toml::Spanned;

use super::load::Resolver;
use super::{Error, Ready, STOP_SIGNALS, Start, raw};

impl Resolver<'_> {
    pub(super) fn starts(&self, raw: Option<raw::Starts>) -> Result<Vec<Start>, Error> {
        let raw = raw.map_or_else(Vec::new, |starts| starts.0);
        let several = raw.len() > 1;
        let mut names = BTreeSet::new();
        let mut starts = Vec::new();
        for (at, start) in raw.into_iter().enumerate() {
            let name = match &start.name {
                Some(name) if name.get_ref().trim().is_empty() => {
                    return Err(self.file.invalid(name.span(), "a name is wanted"));
                }
                Some(name) if !names.insert(name.get_ref().clone()) => {
                    return Err(self.file.invalid(name.span(), "another `[[start]]` has this name"));
                }
                Some(name) => name.get_ref().clone(),
                None if several => format!("start {}", at + 1),
                None => "start".to_owned(),
            };
            starts.push(self.start(name, start)?);
        }
        Ok(starts)
    }

    fn start(&self, name: String, raw: raw::Start) -> Result<Start, Error> {
        for command in &raw.with {
            if shlex::split(command.get_ref()).is_none_or(|words| words.is_empty()) {
                return Err(self.file.invalid(command.span(), "a command with balanced quotes is wanted"));
            }
        }
        let stop = match raw.stop {
            Some(stop) if STOP_SIGNALS.contains(&stop.get_ref().as_str()) => stop.into_inner(),
            Some(stop) => {
                let known = STOP_SIGNALS.join(", ");
                return Err(self.file.invalid(stop.span(), format!("one of {known} is wanted")));
            }
            None => "SIGTERM".to_owned(),
        };
        if let Some(output) = &raw.output {
            self.regex(output)?;
        }
        Ok(Start {
            name,
            args: raw.args,
            env: raw.env.into_iter().collect(),
            stdin: raw.stdin,
            with: raw.with.into_iter().map(Spanned::into_inner).collect(),
            ready: raw.ready.map(|ready| self.ready(ready)).transpose()?,
            output: raw.output.map(Spanned::into_inner),
            stop,
            exit_code: raw.exit_code.unwrap_or(0),
            timeout: raw.timeout.unwrap_or(60),
        })
    }

    fn ready(&self, raw: Spanned<raw::Ready>) -> Result<Ready, Error> {
        let span = raw.span();
        let invalid = |message: &str| self.file.invalid(span.clone(), message);
        let other = match raw.into_inner() {
            raw::Ready::Text(text) => return Ok(Ready::Text(text)),
            raw::Ready::Other(other) => other,
        };
        match (other.regex, other.tcp, other.unix, other.http, other.status) {
            (Some(regex), None, None, None, None) => {
                let spanned = Spanned::new(span.clone(), regex);
                self.regex(&spanned)?;
                Ok(Ready::Regex(spanned.into_inner()))
            }
            (None, Some(address), None, None, None) => match address.rsplit_once(':') {
                Some((host, port)) if !host.is_empty() && is_port(port) => Ok(Ready::Tcp(address)),
                _ => Err(invalid("`tcp` is an address like `127.0.0.1:8000`, or `127.0.0.1:{port}`")),
            },
            (None, None, Some(path), None, None) => Ok(Ready::Unix(path)),
            (None, None, None, Some(url), status) => {
                if !url.starts_with("http://") {
                    return Err(invalid("`http` is a URL that begins with `http://`"));
                }
                Ok(Ready::Http { url, status: status.unwrap_or(200) })
            }
            _ => Err(invalid(
                "`ready` is a text of the output, or one of `{ regex = … }`, `{ tcp = \"HOST:PORT\" }`, \
                 `{ unix = \"PATH\" }` and `{ http = \"URL\", status = 200 }`",
            )),
        }
    }

    fn regex(&self, text: &Spanned<String>) -> Result<(), Error> {
        match Regex::new(text.get_ref()) {
            Ok(_) => Ok(()),
            Err(error) => Err(self.file.invalid(text.span(), format!("no regular expression: {error}"))),
        }
    }
}

fn is_port(text: &str) -> bool {
    text == "{port}" || text.parse::<u16>().is_ok_and(|port| port > 0)
}

#[cfg(test)]
mod tests {
    use fs_err as fs;

    use super::*;
    use crate::config::{Config, Overrides};

    fn load(text: &str) -> Result<Vec<Start>, String> {
        let folder = tempfile::tempdir().unwrap();
        let head = "[runner]\nentry='m:f'\n[environment]\npython='p'\n";
        fs::write(folder.path().join("packproof.toml"), format!("{head}{text}")).unwrap();
        Config::load(folder.path(), &Overrides::default()).map(|it| it.starts).map_err(|error| error.to_string())
    }

    #[test]
    fn ways_of_being_ready() {
        let ready = |text: &str| load(&format!("[start]\nready = {text}\n")).map(|starts| starts[0].ready.clone());
        assert_eq!(ready("'up'"), Ok(Some(Ready::Text("up".into()))));
        assert_eq!(ready("{ regex = 'up \\d' }"), Ok(Some(Ready::Regex("up \\d".into()))));
        assert_eq!(ready("{ tcp = '127.0.0.1:{port}' }"), Ok(Some(Ready::Tcp("127.0.0.1:{port}".into()))));
        assert_eq!(ready("{ unix = '{tmp}/s' }"), Ok(Some(Ready::Unix("{tmp}/s".into()))));
        let http = Ready::Http { url: "http://127.0.0.1/".into(), status: 204 };
        assert_eq!(ready("{ http = 'http://127.0.0.1/', status = 204 }"), Ok(Some(http)));
        for (wrong, wanted) in [
            ("{ regex = '(' }", "regular expression"),
            ("{ tcp = '8000' }", "127.0.0.1:8000"),
            ("{ http = 'https://x' }", "http://"),
            ("{ tcp = 'a:1', unix = 'b' }", "one of"),
        ] {
            let error = ready(wrong).unwrap_err();
            assert!(error.contains("line 6") && error.contains(wanted), "{error}");
        }
    }

    #[test]
    fn several_starts_have_names() {
        let starts = load("[[start]]\nname = 'help'\nargs = ['--help']\n[[start]]\nready = 'up'\n").unwrap();
        assert_eq!(starts.iter().map(|it| it.name.as_str()).collect::<Vec<_>>(), ["help", "start 2"]);
        assert!(load("[[start]]\nname='a'\n[[start]]\nname='a'\n").unwrap_err().contains("another `[[start]]`"));
        assert!(load("").unwrap().is_empty());
    }
}
