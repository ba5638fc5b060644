//! What the operator tells people.

use k8s_openapi::api::core::v1::Event;
use kube::{Api, api::ListParams};

use super::world::World;

impl World {
    /// Whether an Event of the namespace contains the text, of that reason if one is given.
    pub(crate) async fn is_told(&self, reason: Option<&str>, text: &str) -> Option<()> {
        let events: Api<Event> = self.api();
        let events = events.list(&ListParams::default()).await.unwrap();
        events
            .iter()
            .filter(|event| reason.is_none() || event.reason.as_deref() == reason)
            .filter_map(|event| event.message.as_deref())
            .any(|message| message.contains(text))
            .then_some(())
    }
}
