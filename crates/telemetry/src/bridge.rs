//! Carries the Prometheus registry to OTLP, so that a metric is registered once and shows in both.

use std::{
    collections::HashSet,
    sync::{Arc, Mutex},
};

use opentelemetry::{
    KeyValue,
    metrics::{AsyncInstrument, Meter, MeterProvider},
};
use opentelemetry_sdk::metrics::SdkMeterProvider;
use prometheus::proto::{Metric, MetricFamily, MetricType};

/// Metrics are registered when they are first used; a family seen for the first time gets its instrument at the export after.
pub(crate) fn start(meters: SdkMeterProvider) {
    let meter = meters.meter("mps");
    let known = Arc::new(Mutex::new(HashSet::new()));
    let discovery = meter.clone();
    let registered = meter
        .u64_observable_gauge("mps_metric_families")
        .with_description("Metrics that are registered.");
    registered
        .with_callback(move |observer| {
            let families = crate::registry().gather();
            observer.observe(families.len() as u64, &[]);
            // Instruments cannot be made while a callback runs.
            let (meter, known) = (discovery.clone(), known.clone());
            std::thread::spawn(move || make_instruments(&meter, &known, &families));
        })
        .build();
}

fn make_instruments(meter: &Meter, known: &Mutex<HashSet<String>>, families: &[MetricFamily]) {
    let mut known = known.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    for family in families {
        if known.insert(family.name().to_owned()) {
            make_instrument(meter, family);
        }
    }
}

/// A histogram becomes its count and its sum.
fn make_instrument(meter: &Meter, family: &MetricFamily) {
    let (name, help) = (family.name().to_owned(), family.help().to_owned());
    match family.get_field_type() {
        MetricType::COUNTER => counter(meter, name.clone(), name, help, |metric| metric.get_counter().get_value()),
        MetricType::GAUGE => {
            let source = name.clone();
            let gauge = meter.f64_observable_gauge(name).with_description(help);
            gauge
                .with_callback(move |observer| observe(observer, &source, |metric| metric.get_gauge().get_value()))
                .build();
        }
        MetricType::HISTOGRAM => {
            counter(meter, format!("{name}_count"), name.clone(), help.clone(), |metric| {
                metric.get_histogram().get_sample_count() as f64
            });
            counter(meter, format!("{name}_sum"), name, help, |metric| {
                metric.get_histogram().get_sample_sum()
            });
        }
        _ => {}
    }
}

fn counter(meter: &Meter, name: String, source: String, help: String, value: fn(&Metric) -> f64) {
    meter
        .f64_observable_counter(name)
        .with_description(help)
        .with_callback(move |observer| observe(observer, &source, value))
        .build();
}

fn observe(observer: &dyn AsyncInstrument<f64>, source: &str, value: fn(&Metric) -> f64) {
    for family in crate::registry().gather().iter().filter(|family| family.name() == source) {
        for metric in family.get_metric() {
            let labels: Vec<KeyValue> = metric
                .get_label()
                .iter()
                .map(|label| KeyValue::new(label.name().to_owned(), label.value().to_owned()))
                .collect();
            observer.observe(value(metric), &labels);
        }
    }
}
