//! A profile that is read when somebody first asks for a figure: most of the standard library's are never asked for by one job.

use super::Profile;
use std::fmt;
use std::ops::Deref;
use std::sync::{Arc, OnceLock};

/// A profile, read or still to be read; copies share what was read.
#[derive(Clone, Default)]
pub struct Late(Arc<Inner>);

#[derive(Default)]
struct Inner {
    read: OnceLock<Profile>,
    how: Option<Box<dyn Fn() -> Profile + Send + Sync>>,
}

impl Late {
    /// A profile that is read by `how`, once; it has no mistakes that anybody must be told.
    pub fn new(how: impl Fn() -> Profile + Send + Sync + 'static) -> Late {
        Late(Arc::new(Inner { read: OnceLock::new(), how: Some(Box::new(how)) }))
    }

    /// Changes this copy alone.
    pub fn change(&mut self, change: impl FnOnce(&mut Profile)) {
        let mut profile = Profile::clone(self);
        change(&mut profile);
        *self = profile.into();
    }
}

impl From<Profile> for Late {
    fn from(profile: Profile) -> Late {
        Late(Arc::new(Inner { read: OnceLock::from(profile), how: None }))
    }
}

impl Deref for Late {
    type Target = Profile;

    fn deref(&self) -> &Profile {
        self.0.read.get_or_init(|| self.0.how.as_ref().map_or_else(Profile::default, |how| how()))
    }
}

impl fmt::Debug for Late {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        (**self).fmt(f)
    }
}
