use std::{
    sync::{Mutex, PoisonError},
    time::Duration,
};

use object_store::client::{HttpRequestBody, HttpResponseBody};
use springtide_contract::paths;
use springtide_mounted::kubelet;
use tempfile::TempDir;

use super::*;

/// A store that knows keys by their ids, and notes with which it was asked.
#[derive(Clone, Debug, Default)]
struct Store {
    knows: Arc<Mutex<Vec<&'static str>>>,
    asked: Arc<Mutex<Vec<String>>>,
}

#[async_trait]
impl HttpService for Store {
    async fn call(&self, request: HttpRequest) -> Result<HttpResponse, HttpError> {
        let header = |name: &str| request.headers()[name].to_str().unwrap().to_owned();
        let authorization = header("authorization");
        let (_, rest) = authorization.split_once("Credential=").unwrap();
        let (id, _) = rest.split_once('/').unwrap();
        assert_eq!(header(DIGEST).len(), 64, "the body is signed");
        assert_eq!(request.body().content_length(), 4);
        let knows = self.knows.lock().unwrap_or_else(PoisonError::into_inner).contains(&id);
        self.asked
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(id.to_owned());
        let answer = http::Response::builder().status(if knows { 200 } else { 403 });
        Ok(answer.body(HttpResponseBody::from(Vec::new())).unwrap())
    }
}

fn write(folder: &TempDir, id: &str) {
    let files = [
        (paths::ACCESS_KEY_ID_FILE, id),
        (paths::SECRET_ACCESS_KEY_FILE, "secret"),
    ];
    kubelet::write(folder.path(), &files).unwrap();
}

/// A store that knows the key `old`, and a service that has it mounted and looks at the files only when it must.
fn service() -> (TempDir, Store, SigningService) {
    let folder = tempfile::tempdir().unwrap();
    write(&folder, "old");
    let store = Store::default();
    store.knows.lock().unwrap().push("old");
    let service = SigningService {
        client: HttpClient::new(store.clone()),
        keys: Arc::new(MountedKeys::open(folder.path(), Duration::from_secs(3600)).unwrap()),
        region: "us-east-1".to_owned(),
    };
    (folder, store, service)
}

impl SigningService {
    /// The status of a request that was signed with the key `old`, and the keys that the store has seen.
    async fn ask(&self, store: &Store) -> (u16, Vec<String>) {
        let body = HttpRequestBody::from(b"rows".to_vec());
        let mut request = http::Request::put("http://store/lake/object").body(body).unwrap();
        let old = AwsCredential {
            key_id: "old".to_owned(),
            secret_key: "secret".to_owned(),
            token: None,
        };
        AwsAuthorizer::new(&old, SERVICE, &self.region).authorize(&mut request, None);
        let status = self.call(request).await.unwrap().status().as_u16();
        (status, std::mem::take(&mut *store.asked.lock().unwrap()))
    }
}

#[tokio::test]
async fn a_request_that_was_signed_before_its_key_went_is_signed_again() {
    let (folder, store, service) = service();
    assert_eq!(service.ask(&store).await, (200, vec!["old".to_owned()]));
    write(&folder, "new");
    *store.knows.lock().unwrap() = vec!["new"];
    assert_eq!(
        service.ask(&store).await,
        (200, vec!["old".to_owned(), "new".to_owned()])
    );
    // The client may sign with what it has got before; the store sees only what is good.
    assert_eq!(service.ask(&store).await, (200, vec!["new".to_owned()]));
}

#[tokio::test]
async fn a_new_key_that_the_store_does_not_know_is_none_yet() {
    let (folder, store, service) = service();
    write(&folder, "new");
    // Somebody has looked.
    assert!(service.keys.instead_of(None).is_some());
    assert_eq!(
        service.ask(&store).await,
        (200, vec!["new".to_owned(), "old".to_owned()])
    );
    assert_eq!(service.ask(&store).await, (200, vec!["old".to_owned()]));
    // The old key goes: it is the new one's turn, even if that was refused a moment ago.
    *store.knows.lock().unwrap() = vec!["new"];
    assert_eq!(
        service.ask(&store).await,
        (200, vec!["old".to_owned(), "new".to_owned()])
    );
    assert_eq!(service.ask(&store).await, (200, vec!["new".to_owned()]));
}

#[tokio::test]
async fn a_refusal_that_is_not_about_keys_is_asked_once() {
    let (_folder, store, service) = service();
    store.knows.lock().unwrap().clear();
    assert_eq!(service.ask(&store).await, (403, vec!["old".to_owned()]));
}
