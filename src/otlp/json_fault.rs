//! Why a JSON body cannot be read, and the path in it at which reading stopped.

use super::Refusal;
use super::json_string::NAME;

/// Why reading stopped. Boxed, to keep results small where all goes well.
#[derive(Debug)]
pub(super) struct Fault(Box<Problem>);

#[derive(Debug)]
struct Problem {
    /// Where in the document, from the root: `spans[3].kind`.
    path: String,
    /// The field that the path begins with stands beside the one that was being read.
    beside: bool,
    refusal: Refusal,
}

impl Fault {
    #[cold]
    pub(super) fn in_field(mut self, name: &[u8]) -> Self {
        if self.0.beside {
            self.0.beside = false;
        } else {
            let name = String::from_utf8_lossy(&name[..name.len().min(NAME)]);
            self.prefix(&name);
        }
        self
    }

    #[cold]
    pub(super) fn in_element(mut self, index: usize) -> Self {
        self.prefix(&format!("[{index}]"));
        self
    }

    /// In a field of the same object as the one that is being read.
    #[cold]
    pub(super) fn in_field_beside(mut self, name: &str) -> Self {
        self.prefix(name);
        self.0.beside = true;
        self
    }

    fn prefix(&mut self, step: &str) {
        let path = &mut self.0.path;
        if !path.is_empty() && !path.starts_with('[') {
            path.insert(0, '.');
        }
        path.insert_str(0, step);
    }
}

impl From<Refusal> for Fault {
    #[cold]
    fn from(refusal: Refusal) -> Self {
        Self(Box::new(Problem {
            path: String::new(),
            beside: false,
            refusal,
        }))
    }
}

impl From<Fault> for Refusal {
    fn from(fault: Fault) -> Self {
        let Problem { path, refusal, .. } = *fault.0;
        match refusal {
            Refusal::Malformed(reason) if !path.is_empty() => {
                Refusal::Malformed(format!("{path}: {reason}"))
            }
            other => other,
        }
    }
}
