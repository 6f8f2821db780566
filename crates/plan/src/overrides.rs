//! Settings of a node: from a template or inline, with the caller's overrides laid over them.

use mps_proto::v1::{Template, node_settings::Settings};
use prost_types::FieldMask;

use crate::{
    faults::{Faults, shown},
    fields::Fields,
    presets,
};

/// Settings of one kind. Paths are those of field masks.
pub(crate) trait KindSettings: Fields {
    /// Kind of the templates that hold such settings.
    const KIND: &'static str;

    /// Checks settings and fills in every default.
    fn settle(self, faults: &mut SettingsFaults) -> Self;

    /// Forgets what stands or falls with a setting that is about to be replaced, such as the CRF of a template when the
    /// overrides ask for a bit rate.
    fn forget_dependents(&mut self, _path: &str, _from: &Self) {}

    /// The settings of this kind in a template.
    fn from_settings(settings: &Settings) -> Option<&Self>;
}

/// What planning knows besides the request when it looks at a node.
#[derive(Clone, Copy)]
pub(crate) struct Scope<'a> {
    pub project: &'a str,
    /// Templates of the project; presets are found without them.
    pub templates: &'a [Template],
}

impl<'a> Scope<'a> {
    /// A template by its id, or a preset by its id or by a number of the reference system, which may mean one of several kinds.
    fn template(&self, id: &str, kind: &str) -> Option<&'a Template> {
        let own = self.templates.iter().find(|template| presets::id_of(template) == id);
        own.or_else(|| presets::find_preset(id, Some(kind)))
            .or_else(|| presets::find_preset(id, None))
    }
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
    pub source: Option<Source<'a, S>>,
    pub overrides: Option<&'a S>,
    pub mask: Option<&'a FieldMask>,
}

/// `asked!(node, field, transcode_node)`: what a node's message says about its settings.
macro_rules! asked {
    ($node:expr, $field:expr, $module:ident) => {
        $crate::overrides::Asked {
            field: $field,
            source: $node.source.as_ref().map(|source| match source {
                $module::Source::Template(name) => $crate::overrides::Source::Template(name),
                $module::Source::Inline(settings) => $crate::overrides::Source::Inline(settings),
            }),
            overrides: $node.overrides.as_ref(),
            mask: $node.override_mask.as_ref(),
        }
    };
}
pub(crate) use asked;

/// A template that a node uses.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Used {
    /// Without its parents; empty for inline settings.
    pub id: String,
    pub revision: i32,
}

/// Checked settings with every default, and where they came from.
pub(crate) struct Resolved<S> {
    pub settings: S,
    pub template: Used,
    pub origin: Origin,
}

/// Knows by which field a caller can repair a setting.
#[derive(Debug, Clone)]
pub(crate) struct Origin {
    field: String,
    place: Place,
}

#[derive(Debug, Clone)]
enum Place {
    /// Settings are the field itself.
    Here,
    Inline {
        overridden: Vec<String>,
    },
    Overrides,
}

impl Origin {
    /// Settings that stand in `field` itself, such as those of a template.
    pub fn of_field(field: impl Into<String>) -> Self {
        Self {
            field: field.into(),
            place: Place::Here,
        }
    }

    /// Full path of a setting such as `video.crf`.
    pub fn path(&self, setting: &str) -> String {
        let is_under = |path: &String| setting == path || setting.starts_with(&format!("{path}."));
        let place = match &self.place {
            Place::Here => "",
            Place::Inline { overridden } if !overridden.iter().any(is_under) => ".inline",
            _ => ".overrides",
        };
        let dot = if setting.is_empty() { "" } else { "." };
        format!("{}{place}{dot}{setting}", self.field)
    }
}

/// Adds violations of settings at the place where they can be repaired.
pub(crate) struct SettingsFaults<'a> {
    pub origin: &'a Origin,
    /// Put before the names of settings, such as `renditions[0].`.
    pub prefix: String,
    pub project: &'a str,
    pub faults: &'a mut Faults,
}

impl SettingsFaults<'_> {
    /// The same for the settings below `name`.
    pub fn below(&mut self, name: &str) -> SettingsFaults<'_> {
        SettingsFaults {
            origin: self.origin,
            prefix: format!("{}{name}.", self.prefix),
            project: self.project,
            faults: self.faults,
        }
    }

    /// Path of a setting; empty for all of them together.
    pub fn path(&self, setting: &str) -> String {
        let path = format!("{}{setting}", self.prefix);
        self.origin.path(path.trim_end_matches('.'))
    }

    pub fn add(&mut self, setting: &str, description: impl Into<String>) {
        self.faults.add(self.path(setting), description);
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

/// Template or inline settings with the overrides laid over them, checked; `None` with violations when there is nothing to start from.
pub(crate) fn resolve<S: KindSettings>(asked: &Asked<S>, scope: &Scope, faults: &mut Faults) -> Option<Resolved<S>> {
    let overridden = overridden_paths(asked, faults);
    let (mut settings, template) = match &asked.source {
        None => {
            faults.add(asked.field, "exactly one of template and inline must be set");
            return None;
        }
        Some(Source::Inline(settings)) => ((*settings).clone(), None),
        Some(Source::Template(name)) => {
            let (template, settings) = find_template::<S>(asked.field, name, scope, faults)?;
            (settings.clone(), Some(template))
        }
    };
    lay_over(&mut settings, &overridden, &asked.overrides.cloned().unwrap_or_default());
    let place = match template {
        Some(_) => Place::Overrides,
        None => Place::Inline { overridden },
    };
    let origin = Origin {
        field: asked.field.to_owned(),
        place,
    };
    let mut settings_faults = SettingsFaults {
        origin: &origin,
        prefix: String::new(),
        project: scope.project,
        faults,
    };
    Some(Resolved {
        settings: settings.settle(&mut settings_faults),
        template: template.map(used).unwrap_or_default(),
        origin,
    })
}

/// Lays what `from` says at `paths` over settings.
pub(crate) fn lay_over<S: KindSettings>(settings: &mut S, paths: &[String], from: &S) {
    for path in paths {
        settings.forget_dependents(path, from);
    }
    for path in paths {
        settings.replace(path, from);
    }
}

fn used(template: &Template) -> Used {
    Used {
        id: presets::id_of(template).to_owned(),
        revision: template.revision,
    }
}

/// Paths of the mask that are known; without a mask every path that is set in the overrides.
fn overridden_paths<S: KindSettings>(asked: &Asked<S>, faults: &mut Faults) -> Vec<String> {
    let masked = asked.mask.map(|mask| mask.paths.as_slice()).unwrap_or_default();
    if masked.is_empty() {
        return asked.overrides.map(Fields::set_paths).unwrap_or_default();
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
            format!("{} is no setting of a {}", shown(path), S::KIND),
        );
    }
    paths
}

fn find_template<'a, S: KindSettings>(
    operation: &str,
    name: &str,
    scope: &Scope<'a>,
    faults: &mut Faults,
) -> Option<(&'a Template, &'a S)> {
    let field = format!("{operation}.template");
    let id = faults.id_of(&field, name, "templates", scope.project)?;
    let Some(template) = scope.template(&id, S::KIND) else {
        faults.add(field, format!("there is no template {}; ListTemplates lists all", shown(&id)));
        return None;
    };
    let settings = template.settings.as_ref().and_then(|settings| settings.settings.as_ref());
    let Some(settings) = settings.and_then(S::from_settings) else {
        faults.add(
            field,
            format!(
                "{id} is a template of kind {}; one of kind {} is needed here",
                template.kind,
                S::KIND
            ),
        );
        return None;
    };
    Some((template, settings))
}
