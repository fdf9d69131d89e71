//! `pytracer report --html`, looked at in a browser: it shows what the report says, search and sorting work, nothing is
//! fetched, and a name that is HTML is text.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;
use tests::{Browser, portrait, scratch, tracer};

/// The function of the recording that would do harm if it were shown as it is.
const HOSTILE: &str = "</script><b>x;\\x1b[31m'\"&\\x0a";
/// The first cells of the rows that are shown.
const NAMES: &str = "[...document.querySelectorAll('#table tbody th .name')].map(name => name.textContent)";

fn page(folder: &Path) -> PathBuf {
    page_of(&portrait(), folder)
}

fn page_of(recording: &Path, folder: &Path) -> PathBuf {
    let page = folder.join("page.html");
    let output =
        tracer::run(["report", &recording.display().to_string(), "--html", &page.display().to_string()]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    page
}

/// A browser that shows the page.
fn shown(folder: &Path) -> (Browser, PathBuf) {
    let (page, mut browser) = (page(folder), Browser::start());
    browser.open(&page);
    (browser, page)
}

fn texts(browser: &mut Browser, expression: &str) -> Vec<String> {
    serde_json::from_value(browser.value(expression)).expect("a list of texts")
}

#[test]
fn it_shows_the_report_and_asks_for_nothing() {
    let folder = scratch();
    let (mut browser, page) = shown(folder.path());
    let recording = portrait().display().to_string();
    let table = tracer::run(["report", &recording, "--limit", "0"]).stdout;
    let table = String::from_utf8(table).expect("it is text");
    let fib = table.lines().find(|line| line.starts_with("fib ")).expect("it ran");
    browser.click("#table-note button");
    let cells = "[...document.querySelectorAll('#table tbody tr')] \
                 .map(row => [...row.cells].map(cell => cell.textContent))";
    let rows: Vec<Vec<String>> = serde_json::from_value(browser.value(cells)).expect("rows of texts");
    let row = rows.iter().find(|row| row[0].starts_with("fib/")).expect("it is in the table");
    let numbers = fib.split("  ").map(str::trim).filter(|cell| !cell.is_empty()).skip(2);
    assert_eq!(row[1..], numbers.collect::<Vec<_>>(), "as the report prints them");
    let boxes =
        texts(&mut browser, "[...document.querySelectorAll('#time-graph .box')].map(box => box.textContent)");
    assert!(["all", "work", "nap"].iter().all(|name| boxes.iter().any(|text| text == name)), "{boxes:?}");
    for drawn in
        ["#memory-graph .box", "#lanes .box", "#timeline path.line", "#timeline .mark", "#account li"]
    {
        assert_ne!(browser.value(&format!("document.querySelectorAll('{drawn}').length")), 0, "{drawn}");
    }
    let lanes = texts(
        &mut browser,
        "[...document.querySelectorAll('#lanes .heading')].map(text => text.textContent)",
    );
    assert_eq!(lanes.len(), 3, "{lanes:?}");
    assert_eq!(browser.complaints(), [""; 0]);
    assert_eq!(browser.requests(), [format!("file://{}", page.display())]);
}

#[test]
fn search_finds_functions_and_files() {
    let folder = scratch();
    let (mut browser, page) = shown(folder.path());
    browser.press("/");
    browser.type_text("FIB");
    assert_eq!(texts(&mut browser, NAMES), ["fib"]);
    assert_eq!(browser.value("document.getElementById('found').textContent"), "1 found");
    for drawing in ["#time-graph", "#lanes"] {
        for kind in ["hit", "miss"] {
            let boxes = format!("document.querySelectorAll('{drawing} .box.{kind}').length");
            assert_ne!(browser.value(&boxes), 0, "{drawing} {kind}");
        }
    }
    let share = browser.value("document.querySelector('#time-graph .tools').textContent");
    assert!(share.as_str().is_some_and(|text| text.contains("found: 1.25 ms, 0.4 %")), "cum of fib: {share}");
    browser.press("Escape");
    assert!(texts(&mut browser, NAMES).len() > 20);

    let linked = PathBuf::from(format!("{}#search=portrait.py%3A16", page.display()));
    browser.open(&linked);
    assert_eq!(texts(&mut browser, NAMES), ["fib"], "a link may hold a search");
    assert_eq!(browser.value("document.getElementById('search').value"), "portrait.py:16");
    assert_eq!(browser.complaints(), [""; 0]);
}

#[test]
fn columns_sort_and_boxes_zoom() {
    let folder = scratch();
    let (mut browser, _page) = shown(folder.path());
    browser.click("#table thead th:nth-child(2) button");
    assert_eq!(texts(&mut browser, NAMES)[0], "fib", "it was called most often");
    let sorted = "document.querySelector('#table thead th:nth-child(2)').ariaSort";
    assert_eq!(browser.value(sorted), "descending");
    browser.click("#table thead th:nth-child(2) button");
    assert_eq!(browser.value(sorted), "ascending");
    assert_ne!(texts(&mut browser, NAMES)[0], "fib");

    let width = |browser: &mut Browser, name: &str| {
        let boxes = "[...document.querySelectorAll('#time-graph .box')]";
        let found = format!(
            "(() => {{ const box = {boxes}.find(box => box.textContent === '{name}'); \
             box.id = 'wanted'; return Number.parseFloat(box.style.width) }})()"
        );
        browser.value(&found).as_f64().expect("a width")
    };
    let before = width(&mut browser, "work");
    assert!(before < 60.0, "{before}");
    browser.click("#wanted");
    assert!(width(&mut browser, "work") > 99.9);
    browser.value("document.querySelector('#time-graph .boxes').focus()");
    browser.press("Escape");
    assert!((width(&mut browser, "work") - before).abs() < 1e-6);
    assert_eq!(browser.complaints(), [""; 0]);
}

#[test]
fn a_name_that_is_html_is_text() {
    let folder = scratch();
    let (mut browser, _page) = shown(folder.path());
    browser.press("/");
    browser.type_text("</script>");
    assert_eq!(texts(&mut browser, NAMES), [HOSTILE]);
    assert_eq!(browser.value("document.scripts.length"), 2, "the data and our own");
    assert_eq!(
        browser
            .value("[...document.querySelectorAll('b')].filter(b => b.textContent.startsWith('x')).length"),
        0
    );
    assert_eq!(browser.complaints(), [""; 0]);

    let injected = "(() => { const script = document.createElement('div'); \
                    script.innerHTML = '<img src=x onerror=\"window.ran = 1\">'; document.body.append(script); \
                    const other = document.createElement('script'); other.textContent = 'window.ran = 2'; \
                    document.body.append(other); })()";
    browser.value(injected);
    assert!(!browser.complaints().is_empty(), "the policy of the page forbids it");
    assert_eq!(browser.value("window.ran ?? null"), Value::Null);
}

#[test]
fn without_memory_there_is_no_column_of_it() {
    let folder = scratch();
    let recording = folder.path().join("rec");
    copy(&portrait(), &recording);
    let about = recording.join("recording.json");
    let mut known: Value = serde_json::from_slice(&fs::read(&about).expect("it is there")).expect("JSON");
    known["account"]["memory_unknown"] = true.into();
    fs::write(&about, known.to_string()).expect("it is ours");
    let page = page_of(&recording, folder.path());
    let mut browser = Browser::start();
    browser.open(&page);
    let heads = "[...document.querySelectorAll('#table thead th')].map(head => head.textContent)";
    let wanted = ["function", "calls", "resumed", "self", "cum", "self cpu", "cum cpu", "cum/call"];
    assert_eq!(texts(&mut browser, heads), wanted);
    assert_eq!(texts(&mut browser, NAMES).len(), 25);
    browser.press("/");
    browser.type_text("fib");
    assert_eq!(texts(&mut browser, NAMES), ["fib"]);
    let memory = browser.value("document.getElementById('memory').textContent");
    assert!(memory.as_str().is_some_and(|text| text.contains("Linux 6.2")), "{memory}");
    assert_eq!(browser.complaints(), [""; 0]);
}

/// A folder and all that is in it.
fn copy(from: &Path, to: &Path) {
    fs::create_dir(to).expect("a new folder");
    for entry in fs::read_dir(from).expect("a folder") {
        let path = entry.expect("it can be read").path();
        let to = to.join(path.file_name().expect("it has a name"));
        if path.is_dir() {
            copy(&path, &to);
        } else {
            fs::copy(&path, &to).expect("room for it");
        }
    }
}

#[test]
fn it_fits_narrow_windows_light_and_dark() {
    let folder = scratch();
    let (mut browser, page) = shown(folder.path());
    for (width, dark) in [(1280, false), (1280, true), (400, false), (400, true)] {
        browser.look(width, 800, dark);
        browser.open(&page);
        let wide = browser.value("document.documentElement.scrollWidth").as_u64().expect("a number");
        assert!(wide <= u64::from(width), "{wide} of {width}");
        let back = browser.value("getComputedStyle(document.body).backgroundColor");
        assert_eq!(back, if dark { "rgb(16, 20, 26)" } else { "rgb(255, 255, 255)" });
        assert_eq!(browser.complaints(), [""; 0]);
    }
}
