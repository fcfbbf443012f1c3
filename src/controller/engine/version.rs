//! Versions of objects in the cluster.

/// Whether one resourceVersion is newer than another. Within a cluster, they are growing numbers.
pub fn is_newer(one: Option<&str>, other: Option<&str>) -> bool {
    let number = |version: Option<&str>| version.and_then(|text| text.parse::<u64>().ok());
    match (number(one), number(other)) {
        (Some(one), Some(other)) => one > other,
        (Some(_), None) => true,
        _ => false,
    }
}
