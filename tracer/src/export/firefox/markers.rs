//! Markers of a profile: one for each call, one that has the word on the whole.

use anyhow::Result;
use fxprof_processed_profile::{
    CategoryHandle, Marker, MarkerFieldFlags, MarkerFieldFormat, MarkerLocations, MarkerTypeHandle, Profile,
    RuntimeSchemaMarkerField, RuntimeSchemaMarkerSchema, StaticSchemaMarker, StaticSchemaMarkerField,
    StringHandle,
};
use serde_json::Value;

use super::super::trace::{About, cut};
use crate::analysis::timeline::Span;
use crate::correction::Corrected;

/// A call.
#[derive(Clone, Debug)]
pub(super) struct CallMarker {
    name: StringHandle,
    category: CategoryHandle,
    note: StringHandle,
    numbers: [f64; 5],
}

impl CallMarker {
    pub(super) fn new(
        profile: &mut Profile,
        name: StringHandle,
        category: CategoryHandle,
        span: &Span,
        corrected: Option<Corrected>,
    ) -> Self {
        let cut = cut(span).map(|cut| format!("cut at {cut}"));
        let resumed = span.is_resumed().then(|| "resumed".to_owned());
        let bound = match corrected {
            None => Some("not corrected".to_owned()),
            Some(corrected) => {
                corrected.at_most_ns().map(|_| "corrected duration is an upper bound".to_owned())
            }
        };
        let note = [resumed, cut, bound].into_iter().flatten().collect::<Vec<_>>().join(", ");
        let numbers = [
            span.rss_bytes as f64,
            span.off_cpu_ns as f64 / 1e6,
            f64::from(span.faults),
            span.instance as f64,
            corrected.map_or(span.end_ns - span.start_ns, Corrected::ns) as f64 / 1e6,
        ];
        Self { name, category, note: profile.intern_string(&note), numbers }
    }
}

const fn field(key: &'static str, label: &'static str, format: MarkerFieldFormat) -> StaticSchemaMarkerField {
    StaticSchemaMarkerField { key, label, format, flags: MarkerFieldFlags::empty() }
}

impl StaticSchemaMarker for CallMarker {
    const UNIQUE_MARKER_TYPE_NAME: &'static str = "call";
    const DESCRIPTION: Option<&'static str> = Some("A call of a Python function, or a step of a generator.");
    const CHART_LABEL: Option<&'static str> = Some("{marker.name}");
    const FIELDS: &'static [StaticSchemaMarkerField] = &[
        field("rss", "Change of resident memory", MarkerFieldFormat::Bytes),
        field("offCpu", "Off CPU", MarkerFieldFormat::Duration),
        field("faults", "Page faults", MarkerFieldFormat::Integer),
        field("instance", "Generator or coroutine", MarkerFieldFormat::Integer),
        field("corrected", "Corrected duration", MarkerFieldFormat::Duration),
        field("note", "Note", MarkerFieldFormat::String),
    ];

    fn name(&self, _profile: &mut Profile) -> StringHandle {
        self.name
    }

    fn category(&self, _profile: &mut Profile) -> CategoryHandle {
        self.category
    }

    fn string_field_value(&self, _field_index: u32) -> StringHandle {
        self.note
    }

    fn number_field_value(&self, field_index: u32) -> f64 {
        self.numbers[field_index as usize]
    }
}

/// What is to be said of the whole.
#[derive(Clone, Debug)]
pub(super) struct AboutMarker {
    kind: MarkerTypeHandle,
    name: StringHandle,
    category: CategoryHandle,
    values: Vec<StringHandle>,
}

impl AboutMarker {
    pub(super) fn new(profile: &mut Profile, category: CategoryHandle, about: &About<'_>) -> Result<Self> {
        let about = serde_json::to_value(about)?;
        let (mut fields, mut values) = (Vec::new(), Vec::new());
        for (key, value) in about.as_object().into_iter().flatten() {
            fields.push(RuntimeSchemaMarkerField {
                key: key.clone(),
                label: key.replace('_', " "),
                format: MarkerFieldFormat::String,
                flags: MarkerFieldFlags::empty(),
            });
            let text = match value {
                Value::String(text) => text.clone(),
                value => value.to_string(),
            };
            values.push(profile.intern_string(&text));
        }
        let kind = profile.register_marker_type(RuntimeSchemaMarkerSchema {
            type_name: "recording".into(),
            description: Some("What was recorded, and how much of it was seen.".into()),
            locations: MarkerLocations::MARKER_CHART | MarkerLocations::MARKER_TABLE,
            chart_label: Some("{marker.name}".into()),
            tooltip_label: None,
            table_label: Some("{marker.data.account}".into()),
            fields,
            graphs: Vec::new(),
        });
        Ok(Self { kind, name: profile.intern_string("recording"), category, values })
    }
}

impl Marker for AboutMarker {
    fn marker_type(&self, _profile: &mut Profile) -> MarkerTypeHandle {
        self.kind
    }

    fn name(&self, _profile: &mut Profile) -> StringHandle {
        self.name
    }

    fn category(&self, _profile: &mut Profile) -> CategoryHandle {
        self.category
    }

    fn string_field_value(&self, field_index: u32) -> StringHandle {
        self.values[field_index as usize]
    }

    /// There are none.
    fn number_field_value(&self, _field_index: u32) -> f64 {
        0.0
    }
}
