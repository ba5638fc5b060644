use super::*;
use crate::Error;

#[derive(Clone, Default)]
struct Page(Arc<Mutex<Vec<u8>>>);

impl Write for Page {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

fn written(page: &Page) -> String {
    String::from_utf8(page.0.lock().unwrap().clone()).unwrap()
}

#[tokio::test]
async fn a_step_that_succeeds_keeps_its_last_progress() {
    let page = Page::default();
    let mut timeline = Timeline::new(Box::new(page.clone()), false, Duration::from_secs(3_725));
    timeline.interval = Duration::from_millis(20);
    let seven = timeline
        .step("count", async |progress| {
            progress.say("half way");
            tokio::time::sleep(Duration::from_millis(200)).await;
            progress.say("7 of 7");
            Ok(7)
        })
        .await
        .unwrap();
    assert_eq!(seven, 7);
    let text = written(&page);
    let lines: Vec<_> = text.lines().collect();
    assert_eq!(lines.len(), 2, "the same progress is not printed twice: {text}");
    assert!(
        lines[0].starts_with("1:02:05  … count") && lines[0].ends_with("half way"),
        "{text}"
    );
    assert!(lines[1].contains("✓ count") && lines[1].ends_with("7 of 7"), "{text}");
    assert!(!text.contains('\x1b'), "no colours outside a terminal");
}

#[tokio::test]
async fn a_step_that_fails_says_so_and_passes_the_error_on() {
    let page = Page::default();
    let timeline = Timeline::new(Box::new(page.clone()), false, Duration::ZERO);
    let error = timeline
        .step("break", async |_| Err::<(), _>(Error::Missing("no glue".into())))
        .await
        .unwrap_err();
    assert_eq!(error.to_string(), "no glue");
    assert!(written(&page).contains("✗ break"));
}
