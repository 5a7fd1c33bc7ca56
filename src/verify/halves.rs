//! Which of many imports ends the process that they share, where it is not the one that was under way: halves of them are
//! tried until one stands alone. Pure.

use super::outcome::Lost;

#[derive(Debug)]
pub(super) struct Suspicion {
    /// What was being imported when the process ended. It alone does not end one.
    pub at: usize,
    /// How it ended.
    pub lost: Lost,
    /// Everything that the process had imported, in order.
    company: Vec<usize>,
    /// Set once the first half has come back: it is in the second, or in none.
    second: bool,
}

#[derive(Debug, PartialEq, Eq)]
pub(super) enum Next {
    Try(Vec<usize>),
    /// It ends its process alone.
    Culprit(usize, Lost),
    /// Both halves come back: it takes several.
    Together,
}

impl Suspicion {
    pub(super) fn new(at: usize, company: Vec<usize>, lost: Lost) -> Self {
        Self { at, lost, company, second: false }
    }

    pub(super) fn begin(&mut self) -> Next {
        self.second = false;
        if self.company.len() < 2 {
            return Next::Together;
        }
        Next::Try(self.half(false))
    }

    /// `lost`: the process of this half did not come back.
    pub(super) fn tried(&mut self, half: &[usize], lost: Option<Lost>) -> Next {
        match (lost, half) {
            (Some(lost), [culprit]) => Next::Culprit(*culprit, lost),
            (Some(_), _) => {
                self.company = half.to_vec();
                self.begin()
            }
            (None, _) if self.second => Next::Together,
            (None, _) => {
                self.second = true;
                Next::Try(self.half(true))
            }
        }
    }

    fn half(&self, second: bool) -> Vec<usize> {
        let (one, two) = self.company.split_at(self.company.len() / 2);
        if second { two.to_vec() } else { one.to_vec() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lost() -> Lost {
        Lost { how: "killed by SIGSEGV".into(), output: String::new() }
    }

    /// `ends`: whether a process with these imports is ended by them.
    fn search(count: usize, ends: impl Fn(&[usize]) -> bool) -> (Next, usize) {
        let mut suspicion = Suspicion::new(count - 1, (0..count).collect(), lost());
        let mut next = suspicion.begin();
        let mut tries = 0;
        while let Next::Try(half) = next {
            tries += 1;
            next = suspicion.tried(&half, ends(&half).then(lost));
        }
        (next, tries)
    }

    #[test]
    fn one_culprit_is_found_in_few_tries() {
        for culprit in 0..100 {
            let (found, tries) = search(100, |half| half.contains(&culprit));
            assert_eq!(found, Next::Culprit(culprit, lost()));
            assert!(tries <= 14, "{tries}");
        }
    }

    #[test]
    fn it_may_take_two() {
        assert_eq!(search(100, |half| half.contains(&3) && half.contains(&97)).0, Next::Together);
        assert_eq!(search(1, |_| true).0, Next::Together);
    }
}
