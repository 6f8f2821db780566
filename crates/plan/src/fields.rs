//! Fields of settings messages by name: what field masks and overrides work with.

/// Access to the fields of a settings message by name and path. Made by `fields!`, which does not compile when a field is forgotten.
pub(crate) trait Fields: Clone + Default + 'static {
    /// Every path that a mask may name: `video`, `video.crf`, ...
    fn paths() -> Vec<String>;
    /// Names of the fields that are set.
    fn set_names(&self) -> Vec<&'static str>;
    /// Paths of the leaves that are set. A message that is set without any field gives `name.`, which turns it on with its
    /// defaults where it was off, and changes nothing of one that is on.
    fn set_paths(&self) -> Vec<String>;
    fn replace(&mut self, path: &str, from: &Self);
}

/// Whether a field has a value.
pub(crate) trait IsSet {
    fn is_set(&self) -> bool;
}

impl<T> IsSet for Option<T> {
    fn is_set(&self) -> bool {
        self.is_some()
    }
}

impl<T> IsSet for Vec<T> {
    fn is_set(&self) -> bool {
        !self.is_empty()
    }
}

/// The path of the field `name` and those below it.
pub(crate) fn paths_in<S: Fields>(name: &str) -> Vec<String> {
    let below = S::paths().into_iter().map(|path| format!("{name}.{path}"));
    std::iter::once(name.to_owned()).chain(below).collect()
}

/// Paths of the leaves that are set in the field `name`.
pub(crate) fn set_paths_in<S: Fields>(name: &str, settings: &S) -> Vec<String> {
    let paths = settings.set_paths();
    if paths.is_empty() {
        return vec![format!("{name}.")];
    }
    paths.into_iter().map(|path| format!("{name}.{path}")).collect()
}

/// Replaces `path` in a message that may be off; it is not turned on by a path that is not set in `from`.
pub(crate) fn replace_in<S: Fields>(settings: &mut Option<S>, path: &str, from: Option<&S>) {
    let replacement = from.cloned().unwrap_or_default();
    let first = path.split('.').next().unwrap_or_default();
    let is_set = path.is_empty() || replacement.set_names().contains(&first);
    if settings.is_some() || is_set {
        settings.get_or_insert_default().replace(path, &replacement);
    }
}

/// `fields!(Message { leaf, nested: NestedMessage })`.
macro_rules! fields {
    ($message:ident { $($field:ident $(: $nested:ty)?),* $(,)? }) => {
        impl $crate::fields::Fields for $message {
            fn paths() -> Vec<String> {
                let each: &[Vec<String>] = &[$($crate::fields::fields!(@paths $field $(, $nested)?)),*];
                each.concat()
            }

            fn set_names(&self) -> Vec<&'static str> {
                let $message { $($field),* } = self;
                let mut names = Vec::new();
                $(if $crate::fields::IsSet::is_set($field) { names.push(stringify!($field)); })*
                names
            }

            fn set_paths(&self) -> Vec<String> {
                let mut paths = Vec::new();
                $($crate::fields::fields!(@set_paths paths, self, $field $(, $nested)?);)*
                paths
            }

            fn replace(&mut self, path: &str, from: &Self) {
                let (name, below) = path.split_once('.').map_or((path, None), |(name, below)| (name, Some(below)));
                match name {
                    $(stringify!($field) => { $crate::fields::fields!(@replace self, below, from, $field $(, $nested)?); })*
                    _ => {}
                }
            }
        }
    };
    (@paths $field:ident) => {
        vec![stringify!($field).to_owned()]
    };
    (@paths $field:ident, $nested:ty) => {
        $crate::fields::paths_in::<$nested>(stringify!($field))
    };
    (@set_paths $paths:ident, $self:ident, $field:ident) => {
        if $crate::fields::IsSet::is_set(&$self.$field) {
            $paths.push(stringify!($field).to_owned());
        }
    };
    (@set_paths $paths:ident, $self:ident, $field:ident, $nested:ty) => {
        if let Some(settings) = &$self.$field {
            $paths.extend($crate::fields::set_paths_in(stringify!($field), settings));
        }
    };
    (@replace $self:ident, $below:ident, $from:ident, $field:ident) => {
        if $below.is_none() {
            $self.$field.clone_from(&$from.$field);
        }
    };
    (@replace $self:ident, $below:ident, $from:ident, $field:ident, $nested:ty) => {
        match $below {
            None => $self.$field.clone_from(&$from.$field),
            Some(path) => $crate::fields::replace_in(&mut $self.$field, path, $from.$field.as_ref()),
        }
    };
}
pub(crate) use fields;
