use chrono::NaiveDate;
use proptest::prelude::*;

use super::{Cron, MINUTES_PER_DAY};

fn date(text: &str) -> NaiveDate {
    text.parse().unwrap()
}

#[track_caller]
fn check_refused(text: &str, words: &[&str]) {
    let message = Cron::parse(text).expect_err(text).to_string();
    for word in words {
        assert!(
            message.contains(word),
            "{text:?} gave {message:?}, which lacks {word:?}"
        );
    }
}

#[track_caller]
fn check_same(one: &str, other: &str) {
    let (one, other) = (Cron::parse(one).unwrap(), Cron::parse(other).unwrap());
    for minute in 0..MINUTES_PER_DAY {
        assert_eq!(
            one.first_minute_in(minute..minute + 1),
            other.first_minute_in(minute..minute + 1)
        );
    }
    let mut day = date("2024-01-01");
    while day < date("2029-01-01") {
        assert_eq!(one.matches_date(day), other.matches_date(day), "{day}");
        day = day.succ_opt().unwrap();
    }
}

#[test]
fn names_and_macros_are_other_spellings() {
    check_same("0 8 * * MON-FRI", "0 8 * * 1-5");
    check_same("0 8 * * mon,Wed,FRI", "0 8 * * 1,3,5");
    check_same("0 8 * JAN-MAR *", "0 8 * 1-3 *");
    check_same("0 8 * * MON-FRI/2", "0 8 * * 1,3,5");
    check_same("@daily", "0 0 * * *");
    check_same("@midnight", "0 0 * * *");
    check_same("@weekly", "0 0 * * 0");
    check_same("@monthly", "0 0 1 * *");
    check_same("@yearly", "0 0 1 1 *");
    check_same("@annually", "0 0 1 1 *");
    check_same("@hourly", "0 * * * *");
    check_same("  0\t8  * *   * ", "0 8 * * *");
    check_same("*/20 */6 * * *", "0,20,40 0,6,12,18 * * *");
    check_same("10-30/10 8 * * *", "10,20,30 8 * * *");
}

#[test]
fn sunday_is_0_and_7() {
    check_same("0 8 * * 7", "0 8 * * 0");
    check_same("0 8 * * 5-7", "0 8 * * 0,5,6");
    check_same("0 8 * * FRI-SUN", "0 8 * * 0,5,6");
    check_same("0 8 * * SUN-TUE", "0 8 * * 0,1,2");
    check_same("0 8 * * 0-7", "0 8 * * *");
    check_same("0 8 * * */7", "0 8 * * SUN");
}

#[test]
fn two_restricted_day_fields_are_either_or() {
    let cron = Cron::parse("0 8 13 * FRI").unwrap();
    assert!(cron.matches_date(date("2026-03-13")), "a Friday the 13th");
    assert!(cron.matches_date(date("2026-03-20")), "any Friday");
    assert!(cron.matches_date(date("2026-01-13")), "any 13th");
    assert!(!cron.matches_date(date("2026-01-14")));
}

#[test]
fn a_starred_day_field_makes_both_agree() {
    let every_second_day_if_monday = Cron::parse("0 8 */2 * MON").unwrap();
    assert!(
        every_second_day_if_monday.matches_date(date("2026-03-09")),
        "Monday, odd"
    );
    assert!(
        !every_second_day_if_monday.matches_date(date("2026-03-16")),
        "Monday, even"
    );
    assert!(
        !every_second_day_if_monday.matches_date(date("2026-03-11")),
        "Wednesday, odd"
    );
}

#[test]
fn a_day_that_no_month_has_is_refused() {
    check_refused("0 0 30 2 *", &["never fires"]);
    check_refused("0 0 31 FEB,APR,JUN,SEP,NOV *", &["never fires"]);
    check_refused("0 0 31 2 */2", &["never fires"]);
    assert!(Cron::parse("0 0 29 2 *").is_ok());
    assert!(Cron::parse("0 0 30 2 MON").is_ok(), "the Mondays of February");
}

#[test]
fn what_other_dialects_allow_is_refused_with_the_remedy() {
    check_refused("", &["is empty", "five fields"]);
    check_refused("   ", &["is empty"]);
    check_refused("0 8 * *", &["4 field", "day of week"]);
    check_refused("0 0 8 * * MON", &["6 field", "no field for seconds"]);
    check_refused("0 0 8 * * MON 2026", &["7 field"]);
    check_refused("0 8 ? * MON", &["day of month", "write * instead"]);
    check_refused("0 8 L * *", &["day of month \"L\"", "from 1 to 31"]);
    check_refused("0 8 * * MON#1", &["day of week \"MON#1\"", "MON"]);
    check_refused("5/15 8 * * *", &["minute", "5-59/15"]);
    check_refused("0 8 * * SAT-MON", &["backwards", "SAT-7,0-MON"]);
    check_refused("0 22-6 * * *", &["hour", "backwards", "22-23,0-6"]);
    check_refused("60 8 * * *", &["minute \"60\"", "from 0 to 59"]);
    check_refused("0 24 * * *", &["hour", "from 0 to 23"]);
    check_refused("0 8 0 * *", &["day of month", "from 1 to 31"]);
    check_refused("0 8 * 13 *", &["month", "from 1 to 12"]);
    check_refused("0 8 * * 8", &["day of week", "from 0 to 7"]);
    check_refused("0 8 * * MONDAY", &["three letters MON"]);
    check_refused("0 8 * * Mo", &["name from SUN to SAT"]);
    check_refused("*/0 8 * * *", &["step", "from 1 to 59"]);
    check_refused("*/ 8 * * *", &["step"]);
    check_refused("*/+5 8 * * *", &["step"]);
    check_refused("1,,2 8 * * *", &["extra comma"]);
    check_refused("-1 8 * * *", &["minute"]);
    check_refused("0 8 * * 99999999999999999999", &["from 0 to 7"]);
    check_refused("@reboot", &["@reboot", "@daily"]);
    check_refused("@every 1h", &["@every 1h", "@hourly"]);
    check_refused("TZ=Europe/Prague 0 8 * * *", &["timeZone"]);
    check_refused("CRON_TZ=UTC 0 8 * * *", &["timeZone"]);
    check_refused("8 Uhr täglich", &["3 field"]);
    check_refused("ü 8 * * *", &["minute \"ü\""]);
    check_refused(&"0,".repeat(400), &["longer than"]);
}

proptest! {
    #[test]
    fn no_text_makes_the_parser_panic(text in "\\PC{0,40}") {
        let _ = Cron::parse(&text);
    }

    #[test]
    fn no_cron_like_text_makes_the_parser_panic(text in "[0-9*,/@A-Za-z -]{0,40}") {
        let _ = Cron::parse(&text);
    }

    #[test]
    fn first_and_last_minute_agree_with_a_scan(
        minute in "(\\*|[0-5]?[0-9]|\\*/[1-9]|[0-2][0-9]-[3-5][0-9])",
        hour in "(\\*|1?[0-9]|\\*/[1-9]|0?[0-9]-1[0-9])",
        start in 0..MINUTES_PER_DAY,
        end in 0..=MINUTES_PER_DAY,
    ) {
        let cron = Cron::parse(&format!("{minute} {hour} * * *")).unwrap();
        let named = |minute: &u32| cron.first_minute_in(*minute..*minute + 1).is_some();
        prop_assert_eq!(cron.first_minute_in(start..end), (start..end).find(named));
        prop_assert_eq!(cron.last_minute_in(start..end), (start..end).rev().find(named));
    }
}
