//! What metadata says where it has no SPDX expression: classifiers, then the free `License` field.

/// Classifier's end → SPDX. Classifiers that name a family without a version (`BSD License`) are taken for its usual
/// member only where that is no risk to whoever relies on it.
const CLASSIFIERS: &[(&str, &str)] = &[
    ("Academic Free License (AFL)", "AFL-3.0"),
    ("Apache Software License", "Apache-2.0"),
    ("BSD License", "BSD-3-Clause"),
    ("Boost Software License 1.0 (BSL-1.0)", "BSL-1.0"),
    ("CC0 1.0 Universal (CC0 1.0) Public Domain Dedication", "CC0-1.0"),
    ("European Union Public Licence 1.2 (EUPL 1.2)", "EUPL-1.2"),
    ("GNU Affero General Public License v3", "AGPL-3.0-only"),
    ("GNU Affero General Public License v3 or later (AGPLv3+)", "AGPL-3.0-or-later"),
    ("GNU General Public License v2 (GPLv2)", "GPL-2.0-only"),
    ("GNU General Public License v2 or later (GPLv2+)", "GPL-2.0-or-later"),
    ("GNU General Public License v3 (GPLv3)", "GPL-3.0-only"),
    ("GNU General Public License v3 or later (GPLv3+)", "GPL-3.0-or-later"),
    ("GNU Lesser General Public License v2 (LGPLv2)", "LGPL-2.0-only"),
    ("GNU Lesser General Public License v2 or later (LGPLv2+)", "LGPL-2.0-or-later"),
    ("GNU Lesser General Public License v3 (LGPLv3)", "LGPL-3.0-only"),
    ("GNU Lesser General Public License v3 or later (LGPLv3+)", "LGPL-3.0-or-later"),
    ("Historical Permission Notice and Disclaimer (HPND)", "HPND"),
    ("ISC License (ISCL)", "ISC"),
    ("MIT License", "MIT"),
    ("MIT No Attribution License (MIT-0)", "MIT-0"),
    ("Mozilla Public License 1.1 (MPL 1.1)", "MPL-1.1"),
    ("Mozilla Public License 2.0 (MPL 2.0)", "MPL-2.0"),
    ("Python Software Foundation License", "PSF-2.0"),
    ("The Unlicense (Unlicense)", "Unlicense"),
    ("Universal Permissive License (UPL)", "UPL-1.0"),
    ("zlib/libpng License", "Zlib"),
    ("Zope Public License", "ZPL-2.1"),
];

/// The free field, as it is often written.
const SPOKEN: &[(&str, &str)] = &[
    ("3-Clause BSD License", "BSD-3-Clause"),
    ("Apache License 2.0", "Apache-2.0"),
    ("Apache License, Version 2.0", "Apache-2.0"),
    ("Apache 2", "Apache-2.0"),
    ("BSD", "BSD-3-Clause"),
    ("BSD License", "BSD-3-Clause"),
    ("MIT License", "MIT"),
    ("The MIT License", "MIT"),
    ("The MIT License (MIT)", "MIT"),
];

/// Several classifiers mean that all hold, as nothing says that one may choose. Where one of them is no licence that SPDX knows,
/// the others are not the whole truth.
pub(super) fn expression(classifiers: &[String]) -> Option<String> {
    let mut found: Vec<&str> = classifiers
        .iter()
        .filter_map(|classifier| classifier.strip_prefix("License :: "))
        // By themselves they name none.
        .filter(|license| !["OSI Approved", "DFSG approved"].contains(license))
        .map(|license| {
            let end = license.rsplit(" :: ").next()?;
            CLASSIFIERS.iter().find(|(name, _)| *name == end).map(|(_, spdx)| *spdx)
        })
        .collect::<Option<_>>()?;
    found.sort_unstable();
    found.dedup();
    (!found.is_empty()).then(|| found.join(" AND "))
}

/// `MIT`, `Apache 2.0`: as an expression where the text is one, in SPDX's words or in common ones.
pub(super) fn spoken(text: &str) -> Option<String> {
    let text = text.trim();
    // The whole licence stands in some of these fields.
    if text.is_empty() || text.len() > 200 || text.contains('\n') {
        return None;
    }
    if spdx::Expression::parse(text).is_ok() {
        return Some(text.to_owned());
    }
    if let Some((_, name)) = SPOKEN.iter().find(|(spoken, _)| spoken.eq_ignore_ascii_case(text)) {
        return Some((*name).to_owned());
    }
    let (name, length) = spdx::imprecise_license_id(text)?;
    (length == text.len()).then(|| name.name.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_is_spdx() {
        for (_, name) in CLASSIFIERS {
            assert!(spdx::license_id(name).is_some(), "{name}");
        }
    }

    #[test]
    fn classifiers_and_free_text() {
        let list = |texts: &[&str]| expression(&texts.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>());
        assert_eq!(list(&["License :: OSI Approved :: MIT License"]).as_deref(), Some("MIT"));
        let two = ["License :: OSI Approved :: MIT License", "License :: OSI Approved :: Apache Software License"];
        assert_eq!(list(&two).as_deref(), Some("Apache-2.0 AND MIT"));
        assert_eq!(list(&["License :: OSI Approved", "Topic :: Software"]), None);
        let with_mit = |other| list(&["License :: OSI Approved :: MIT License", other]);
        assert_eq!(with_mit("License :: OSI Approved").as_deref(), Some("MIT"));
        assert_eq!(with_mit("License :: Other/Proprietary License"), None);
        assert_eq!(spoken("MIT").as_deref(), Some("MIT"));
        assert_eq!(spoken("Apache 2.0").as_deref(), Some("Apache-2.0"));
        assert_eq!(spoken("see the file"), None);
    }
}
