//! Dates on which windows do not open, or open although it is no usual day.

#![allow(
    unreachable_pub,
    dead_code,
    clippy::duplicated_attributes,
    reason = "the KubeSchema derive puts a second, public struct into a function, and two columns are strings"
)]

use kube::{CustomResource, KubeSchema};
use serde::{Deserialize, Serialize};

/// Holidays, and days that are worked although they would be free. Written by the central team; the department reads it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, CustomResource, KubeSchema)]
#[kube(
    group = "springtide.dev",
    version = "v1alpha1",
    kind = "Calendar",
    plural = "calendars",
    shortname = "cal",
    category = "springtide",
    namespaced,
    derive = "PartialEq",
    derive = "Default",
    doc = "Dates on which the windows that name the calendar do not open, or open although their expression does not name the date.",
    printcolumn(
        name = "Excluded",
        type_ = "string",
        json_path = ".spec.excludedDates[*].from",
        description = "First days of the dates without windows"
    ),
    printcolumn(
        name = "Extra",
        type_ = "string",
        json_path = ".spec.extraDates[*].from",
        description = "First days of the dates with windows"
    ),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp")
)]
#[serde(rename_all = "camelCase", remote = "Self")]
pub struct CalendarSpec {
    /// Dates on which windows do not open, in the window's time zone. They win over `extraDates`, also over those of another calendar of the window. Unset: none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 400), extend("x-kubernetes-list-type" = "atomic"))]
    pub excluded_dates: Vec<DateRange>,
    /// Dates on which windows open at the times of day of their expression, although it does not name the date. Unset: none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 400), extend("x-kubernetes-list-type" = "atomic"))]
    pub extra_dates: Vec<DateRange>,
}

crate::null::null_is_absent!(CalendarSpec);

/// One date, or all from one to another.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = ("!has(self.to) || self.from <= self.to", "to lies before from: write the earlier date into from"))]
pub struct DateRange {
    /// The first date: `"2026-12-24"`. Required: a range without a beginning is none.
    #[schemars(length(max = 10))]
    #[x_kube(validation = crate::rule::date())]
    pub from: String,
    /// The last date, which belongs to it. Unset: `from` alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 10))]
    #[x_kube(validation = crate::rule::date())]
    pub to: Option<String>,
    /// What day that is, for people. Unset: nobody says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 128))]
    pub description: Option<String>,
}
