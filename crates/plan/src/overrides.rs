//! Settings of a node: from a template or inline, with the caller's overrides laid over them.

use mps_proto::v1::{Template, node_settings::Settings};
use prost_types::FieldMask;

use crate::{
    faults::{Faults, shown},
    presets,
};

/// Access to the fields of a settings message by name. Made by `fields!`, which does not compile when a field is forgotten.
pub(crate) trait Fields {
    const NAMES: &'static [&'static str];
    /// Names of the fields that are set.
    fn set_names(&self) -> Vec<&'static str>;
    fn replace_field(&mut self, name: &str, from: &Self);
}

macro_rules! fields {
    ($message:ident { $($field:ident),* $(,)? }) => {
        impl $crate::overrides::Fields for $message {
            const NAMES: &'static [&'static str] = &[$(stringify!($field)),*];

            fn set_names(&self) -> Vec<&'static str> {
                let $message { $($field),* } = self;
                let mut names = Vec::new();
                $(if $field.is_some() { names.push(stringify!($field)); })*
                names
            }

            fn replace_field(&mut self, name: &str, from: &Self) {
                $(if name == stringify!($field) { self.$field.clone_from(&from.$field); })*
            }
        }
    };
}
pub(crate) use fields;

/// Settings of a kind that overrides can be laid over. Paths are those of field masks.
pub(crate) trait Overridable: Clone + Default + 'static {
    /// Every path that a mask may name.
    fn paths() -> Vec<String>;
    /// Paths of the leaves that are set.
    fn set_paths(&self) -> Vec<String>;
    fn replace(&mut self, path: &str, from: &Self);
    /// Forgets what stands or falls with a setting that is about to be replaced, such as the CRF of a template when the
    /// overrides ask for a bit rate.
    fn forget_dependents(&mut self, path: &str, from: &Self);
    /// The settings of this kind in a template.
    fn from_template(settings: &Settings) -> Option<&Self>;
}

/// Where a node's settings come from.
pub(crate) enum Source<'a, S> {
    Template(&'a str),
    Inline(&'a S),
}

/// What a node says about its settings.
pub(crate) struct Asked<'a, S> {
    /// Path of the operation, such as `nodes[0].transcode`.
    pub field: &'a str,
    pub kind: &'a str,
    pub source: Option<Source<'a, S>>,
    pub overrides: Option<&'a S>,
    pub mask: Option<&'a FieldMask>,
}

/// Settings before defaults, and where they came from.
pub(crate) struct Resolved<S> {
    pub settings: S,
    pub template: Option<&'static Template>,
    pub origin: Origin,
}

/// Knows by which field a caller can repair a setting.
pub(crate) struct Origin {
    field: String,
    inline: bool,
    overridden: Vec<String>,
}

impl Origin {
    /// Full path of a setting such as `video.crf`.
    pub fn path(&self, setting: &str) -> String {
        let is_under = |path: &String| setting == path || setting.starts_with(&format!("{path}."));
        let place = if self.inline && !self.overridden.iter().any(is_under) {
            "inline"
        } else {
            "overrides"
        };
        match setting {
            "" => format!("{}.{place}", self.field),
            _ => format!("{}.{place}.{setting}", self.field),
        }
    }
}

/// Adds violations of settings at the place where they can be repaired.
pub(crate) struct SettingsFaults<'a> {
    pub origin: &'a Origin,
    pub faults: &'a mut Faults,
}

impl SettingsFaults<'_> {
    pub fn add(&mut self, setting: &str, description: impl Into<String>) {
        self.faults.add(self.origin.path(setting), description);
    }

    /// An enum's value; unset and UNSPECIFIED give the default.
    pub fn choice<E: TryFrom<i32>>(&mut self, setting: &str, value: Option<i32>, default: E) -> E {
        match value {
            None | Some(0) => default,
            Some(number) => E::try_from(number).unwrap_or_else(|_| {
                self.add(setting, format!("{number} is no value that this version knows"));
                default
            }),
        }
    }

    pub fn range<T: PartialOrd + Copy + std::fmt::Display>(&mut self, setting: &str, value: Option<T>, least: T, most: T) {
        if let Some(value) = value
            && !(least..=most).contains(&value)
        {
            self.add(setting, format!("is {value}; {least} to {most} is allowed"));
        }
    }

    /// Refuses a setting that would be ignored.
    pub fn unset<T>(&mut self, setting: &str, value: Option<T>, why: &str) {
        if value.is_some() {
            self.add(setting, why);
        }
    }
}

/// Template or inline settings with the overrides laid over them; `None` with violations when there is nothing to start from.
pub(crate) fn resolve<S: Overridable>(asked: &Asked<S>, project: &str, faults: &mut Faults) -> Option<Resolved<S>> {
    let overridden = overridden_paths(asked, faults);
    let (mut settings, template) = match &asked.source {
        None => {
            faults.add(asked.field, "exactly one of template and inline must be set");
            return None;
        }
        Some(Source::Inline(settings)) => ((*settings).clone(), None),
        Some(Source::Template(name)) => {
            let (template, settings) = find_template::<S>(asked, name, project, faults)?;
            (settings.clone(), Some(template))
        }
    };
    let replacement = asked.overrides.cloned().unwrap_or_default();
    for path in &overridden {
        settings.forget_dependents(path, &replacement);
    }
    for path in &overridden {
        settings.replace(path, &replacement);
    }
    let origin = Origin {
        field: asked.field.to_owned(),
        inline: template.is_none(),
        overridden,
    };
    Some(Resolved {
        settings,
        template,
        origin,
    })
}

/// Paths of the mask that are known; without a mask every path that is set in the overrides.
fn overridden_paths<S: Overridable>(asked: &Asked<S>, faults: &mut Faults) -> Vec<String> {
    let masked = asked.mask.map(|mask| mask.paths.as_slice()).unwrap_or_default();
    if masked.is_empty() {
        return asked.overrides.map(Overridable::set_paths).unwrap_or_default();
    }
    let known = S::paths();
    let mut paths = Vec::new();
    for (index, path) in masked.iter().enumerate() {
        if known.contains(path) {
            paths.push(path.clone());
            continue;
        }
        faults.add(
            format!("{}.override_mask.paths[{index}]", asked.field),
            format!("{} is no setting of a {} node", shown(path), asked.kind),
        );
    }
    paths
}

fn find_template<S: Overridable>(
    asked: &Asked<S>,
    name: &str,
    project: &str,
    faults: &mut Faults,
) -> Option<(&'static Template, &'static S)> {
    let field = format!("{}.template", asked.field);
    let id = faults.id_of(&field, name, "templates", project)?;
    let Some(template) = presets::find(&id) else {
        faults.add(field, format!("there is no template {}; ListTemplates lists all", shown(&id)));
        return None;
    };
    let settings = template.settings.as_ref().and_then(|settings| settings.settings.as_ref());
    let Some(settings) = settings.and_then(S::from_template) else {
        faults.add(
            field,
            format!("{id} is a template of {} nodes, this is a {} node", template.kind, asked.kind),
        );
        return None;
    };
    Some((template, settings))
}
