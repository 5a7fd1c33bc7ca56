//! The configuration as it is written. Every key is known here, or refused with its line.

use serde::de::value::{MapAccessDeserializer, SeqAccessDeserializer};
use serde::de::{MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};
use toml::Spanned;

use super::{Collector, Strip};

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub(super) struct Raw {
    pub(super) runner: Runner,
    pub(super) environment: Environment,
    pub(super) python: Python,
    pub(super) audit: Audit,
    pub(super) licenses: Licenses,
    #[serde(rename = "crate")]
    pub(super) crates: Vec<Crate>,
    pub(super) smoke: Smoke,
    pub(super) startup: Startup,
    pub(super) start: Option<Starts>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub(super) struct Runner {
    pub(super) name: Option<Spanned<String>>,
    pub(super) entry: Option<Spanned<String>>,
    pub(super) path: Vec<Spanned<String>>,
    pub(super) include: Vec<Spanned<String>>,
    pub(super) exclude: Vec<Spanned<String>>,
    pub(super) prune: bool,
    pub(super) hidden_imports: Vec<Spanned<String>>,
    pub(super) hooks: Vec<Spanned<String>>,
    pub(super) interpreter: Option<bool>,
    pub(super) strip: Strip,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub(super) struct Startup {
    pub(super) gc: Collector,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub(super) struct Python {
    pub(super) distribution: Option<Spanned<String>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub(super) struct Environment {
    pub(super) lock: Option<Spanned<String>>,
    pub(super) python: Option<Spanned<String>>,
    pub(super) python_version: Option<Spanned<String>>,
    pub(super) editable: Vec<Spanned<String>>,
    pub(super) allow_sdist: Vec<Spanned<String>>,
    pub(super) indexes: Option<Spanned<Vec<String>>>,
    pub(super) find_links: Vec<Spanned<String>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub(super) struct Audit {
    pub(super) max_glibc: Option<Spanned<String>>,
    pub(super) allow: Vec<Allowance>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub(super) struct Licenses {
    pub(super) allow: Vec<Spanned<String>>,
    pub(super) deny: Vec<Spanned<String>>,
    pub(super) clarify: Vec<Clarification>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct Clarification {
    pub(super) name: String,
    pub(super) expression: Spanned<String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct Allowance {
    pub(super) code: String,
    pub(super) subject: String,
    pub(super) reason: Spanned<String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct Crate {
    pub(super) path: Spanned<String>,
    pub(super) module: Option<Spanned<String>>,
    #[serde(default)]
    pub(super) features: Vec<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub(super) struct Smoke {
    pub(super) imports: Vec<Spanned<String>>,
    pub(super) scripts: Vec<Spanned<String>>,
    pub(super) pytest: Vec<Spanned<String>>,
}

/// `[start]`, or several `[[start]]`. Not by `untagged`, which loses the spans.
#[derive(Debug)]
pub(super) struct Starts(pub(super) Vec<Start>);

impl<'de> Deserialize<'de> for Starts {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct OneOrMore;

        impl<'de> Visitor<'de> for OneOrMore {
            type Value = Starts;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("`[start]` or `[[start]]`")
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Starts, A::Error> {
                Start::deserialize(MapAccessDeserializer::new(map)).map(|start| Starts(vec![start]))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, seq: A) -> Result<Starts, A::Error> {
                Vec::deserialize(SeqAccessDeserializer::new(seq)).map(Starts)
            }
        }

        deserializer.deserialize_any(OneOrMore)
    }
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub(super) struct Start {
    pub(super) name: Option<Spanned<String>>,
    pub(super) args: Vec<String>,
    pub(super) env: std::collections::BTreeMap<String, String>,
    pub(super) stdin: Option<String>,
    pub(super) with: Vec<Spanned<String>>,
    pub(super) ready: Option<Spanned<Ready>>,
    pub(super) output: Option<Spanned<String>>,
    pub(super) stop: Option<Spanned<String>>,
    pub(super) exit_code: Option<i32>,
    pub(super) timeout: Option<u64>,
}

/// A text, or a table with one of the other ways.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
pub(super) enum Ready {
    Text(String),
    Other(OtherReady),
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub(super) struct OtherReady {
    pub(super) regex: Option<String>,
    pub(super) tcp: Option<String>,
    pub(super) unix: Option<String>,
    pub(super) http: Option<String>,
    pub(super) status: Option<u16>,
}
