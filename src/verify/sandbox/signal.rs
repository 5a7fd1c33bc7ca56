//! Signals by name.

const NAMES: [(&str, i32); 14] = [
    ("SIGHUP", 1),
    ("SIGINT", 2),
    ("SIGQUIT", 3),
    ("SIGILL", 4),
    ("SIGTRAP", 5),
    ("SIGABRT", 6),
    ("SIGBUS", 7),
    ("SIGFPE", 8),
    ("SIGKILL", 9),
    ("SIGUSR1", 10),
    ("SIGSEGV", 11),
    ("SIGUSR2", 12),
    ("SIGPIPE", 13),
    ("SIGTERM", 15),
];

/// `SIGTERM` or `TERM`.
pub fn number(name: &str) -> Option<i32> {
    let name = name.strip_prefix("SIG").unwrap_or(name);
    NAMES.iter().find(|(known, _)| known.strip_prefix("SIG") == Some(name)).map(|(_, number)| *number)
}

pub fn name(number: i32) -> Option<&'static str> {
    NAMES.iter().find(|(_, known)| *known == number).map(|(name, _)| *name)
}

#[cfg(test)]
mod tests {
    #[test]
    fn numbers_are_the_kernels() {
        use rustix::process::Signal;
        let known = [("SIGTERM", Signal::TERM), ("SIGUSR1", Signal::USR1), ("SIGABRT", Signal::ABORT)];
        for (name, signal) in known {
            assert_eq!(super::number(name), Some(signal.as_raw()));
            assert_eq!(super::name(signal.as_raw()), Some(name));
        }
        for (_, number) in super::NAMES {
            assert!(Signal::from_named_raw(number).is_some());
        }
        assert_eq!(super::number("TERM"), Some(15));
        assert_eq!(super::number("SIGNONE"), None);
    }
}
