//! Plans on their way to workers: which versions of them there are, and how our own plan nodes travel.

use std::sync::Arc;

use datafusion::{
    common::{DataFusionError, Result, internal_datafusion_err, internal_err},
    datasource::{
        physical_plan::{FileGroup, ParquetSource},
        source::DataSourceExec,
    },
    execution::TaskContext,
    physical_plan::ExecutionPlan,
};
use datafusion_proto::{
    physical_plan::{
        DefaultPhysicalExtensionCodec, PhysicalExtensionCodec, PhysicalPlanDecodeContext,
        PhysicalProtoConverterExtension,
    },
    protobuf::PhysicalPlanNode,
};
use prost::Message;
use springtide_tablet::SegmentLocation;

use crate::{
    files::ExternalLocation,
    resources::NodeResources,
    scan::{LakeScan, ScanOrigin, file_scan_config},
    sink::TabletSink,
    turns::TurnExec,
};

#[cfg(test)]
mod tests;

/// Version of the plans that a frontend of this release sends: of our nodes below, of DataFusion's plan nodes and expressions, and of the
/// messages of DataFusion Distributed. To be raised with every change that a reader of the version before would not understand, or would
/// understand otherwise. `docs/formats.md` says what a new version takes.
pub const PLAN_VERSION: u32 = 1;
/// The oldest version that a compute node of this release reads.
pub const OLDEST_PLAN_VERSION: u32 = 1;
/// Header of the call that brings a plan, with its version.
pub(crate) const PLAN_VERSION_HEADER: &str = "springtide-plan-version";
/// Version of plans that come without the header: the releases that did not send it wrote no other.
pub(crate) const UNSAID_PLAN_VERSION: u32 = 1;

#[derive(Clone, PartialEq, Message)]
struct Node {
    #[prost(oneof = "Kind", tags = "1, 2, 3")]
    kind: Option<Kind>,
}

#[derive(Clone, PartialEq, prost::Oneof)]
enum Kind {
    #[prost(message, tag = "1")]
    Scan(ScanNode),
    #[prost(message, tag = "2")]
    Sink(SinkNode),
    #[prost(message, tag = "3")]
    Turn(TurnNode),
}

#[derive(Clone, PartialEq, Message)]
struct ScanNode {
    /// The `DataSourceExec`, by DataFusion's codec. It drops the reader factory and the files' extensions.
    #[prost(bytes, tag = "1")]
    inner: Vec<u8>,
    #[prost(string, tag = "2")]
    name: String,
    /// One per file in order, for segments.
    #[prost(message, repeated, tag = "3")]
    segments: Vec<SegmentNode>,
    /// `ExternalLocation` as JSON, with its credentials, for files.
    #[prost(bytes, optional, tag = "4")]
    external: Option<Vec<u8>>,
}

#[derive(Clone, PartialEq, Message)]
struct SegmentNode {
    #[prost(string, tag = "1")]
    object: String,
    #[prost(uint64, tag = "2")]
    offset: u64,
    #[prost(uint64, tag = "3")]
    length: u64,
}

#[derive(Clone, PartialEq, Message)]
struct SinkNode {
    /// `LoadTarget` as JSON.
    #[prost(bytes, tag = "1")]
    target: Vec<u8>,
}

#[derive(Clone, PartialEq, Message)]
struct TurnNode {
    #[prost(uint64, optional, tag = "1")]
    most_rows: Option<u64>,
}

/// Encodes and decodes [`LakeScan`], [`TabletSink`] and [`TurnExec`].
#[derive(Debug)]
pub(crate) struct LakeCodec;

impl PhysicalExtensionCodec for LakeCodec {
    fn try_encode(
        &self,
        node: Arc<dyn ExecutionPlan>,
        buffer: &mut Vec<u8>,
        converter: &dyn PhysicalProtoConverterExtension,
    ) -> Result<()> {
        let kind = if let Some(scan) = node.downcast_ref::<LakeScan>() {
            Kind::Scan(encode_scan(scan, converter)?)
        } else if let Some(sink) = node.downcast_ref::<TabletSink>() {
            Kind::Sink(SinkNode {
                target: serde_json::to_vec(sink.target()).map_err(external)?,
            })
        } else if let Some(turn) = node.downcast_ref::<TurnExec>() {
            Kind::Turn(TurnNode {
                most_rows: turn.most_rows().map(|rows| rows as u64),
            })
        } else {
            return internal_err!("a node {} cannot travel to workers", node.name());
        };
        Node { kind: Some(kind) }.encode(buffer).map_err(external)
    }

    fn try_decode(
        &self,
        buffer: &[u8],
        inputs: &[Arc<dyn ExecutionPlan>],
        context: &TaskContext,
        converter: &dyn PhysicalProtoConverterExtension,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        match Node::decode(buffer).map_err(external)?.kind {
            Some(Kind::Scan(scan)) => Ok(Arc::new(decode_scan(scan, context, converter)?)),
            Some(Kind::Sink(sink)) => {
                let [input] = inputs else {
                    return internal_err!("a tablet sink has one input, not {}", inputs.len());
                };
                let target = serde_json::from_slice(&sink.target).map_err(external)?;
                Ok(Arc::new(TabletSink::new(Arc::new(target), Arc::clone(input))))
            }
            Some(Kind::Turn(turn)) => {
                let [input] = inputs else {
                    return internal_err!("a turn has one input, not {}", inputs.len());
                };
                let most_rows = turn.most_rows.map(usize::try_from).transpose().map_err(external)?;
                Ok(Arc::new(TurnExec::new(Arc::clone(input), most_rows)))
            }
            None => internal_err!("a plan node of unknown kind"),
        }
    }
}

fn encode_scan(scan: &LakeScan, converter: &dyn PhysicalProtoConverterExtension) -> Result<ScanNode> {
    let inner = converter
        .execution_plan_to_proto(scan.inner(), &DefaultPhysicalExtensionCodec {})?
        .encode_to_vec();
    let (segments, external_location) = match scan.origin() {
        ScanOrigin::Segments => (segment_nodes(scan)?, None),
        ScanOrigin::Files(location) => (Vec::new(), Some(serde_json::to_vec(location).map_err(external)?)),
    };
    Ok(ScanNode {
        inner,
        name: scan.name().to_owned(),
        segments,
        external: external_location,
    })
}

fn segment_nodes(scan: &LakeScan) -> Result<Vec<SegmentNode>> {
    scan.files()?
        .iter()
        .map(|file| {
            let location = file
                .extension::<SegmentLocation>()
                .ok_or_else(|| internal_datafusion_err!("a file of a segment scan has no location"))?;
            Ok(SegmentNode {
                object: location.object.clone(),
                offset: location.offset,
                length: location.length,
            })
        })
        .collect()
}

fn decode_scan(
    scan: ScanNode,
    context: &TaskContext,
    converter: &dyn PhysicalProtoConverterExtension,
) -> Result<LakeScan> {
    let resources = NodeResources::of_task(context)?;
    let location: Option<ExternalLocation> = scan
        .external
        .map(|location| serde_json::from_slice(&location).map_err(external))
        .transpose()?;
    // The source is decoded together with a reader of its store, which must be known before.
    if let Some(location) = &location {
        resources.external.register(location, &context.runtime_env())?;
    }
    let node = PhysicalPlanNode::decode(scan.inner.as_slice()).map_err(external)?;
    let codec = DefaultPhysicalExtensionCodec {};
    let inner = converter.proto_to_execution_plan(&node, &PhysicalPlanDecodeContext::new(context, &codec))?;
    if !inner.is::<DataSourceExec>() {
        return internal_err!("a lake scan holds a {}", inner.name());
    }
    let mut config = file_scan_config(&inner)?.clone();
    let origin = if let Some(location) = location {
        ScanOrigin::Files(location)
    } else {
        let mut locations = scan.segments.into_iter();
        let mut groups = Vec::with_capacity(config.file_groups.len());
        for group in &config.file_groups {
            let files = group.iter().map(|file| {
                let location = locations
                    .next()
                    .ok_or_else(|| internal_datafusion_err!("a segment scan has more files than locations"))?;
                Ok(file.clone().with_extension(SegmentLocation {
                    object: location.object,
                    offset: location.offset,
                    length: location.length,
                }))
            });
            groups.push(FileGroup::new(files.collect::<Result<Vec<_>>>()?));
        }
        config.file_groups = groups;
        let source = config
            .file_source
            .downcast_ref::<ParquetSource>()
            .ok_or_else(|| internal_datafusion_err!("a segment scan reads something else than Parquet"))?
            .clone()
            .with_parquet_file_reader_factory(Arc::new(resources.segments.clone()));
        config.file_source = Arc::new(source);
        ScanOrigin::Segments
    };
    Ok(LakeScan::new(config, scan.name, origin))
}

fn external(error: impl std::error::Error + Send + Sync + 'static) -> DataFusionError {
    DataFusionError::External(Box::new(error))
}
