//! Provisional.
use crate::measures::Run;
pub fn write_json<T: serde::Serialize>(value: &T, path: &std::path::Path) -> anyhow::Result<()> {
    std::fs::write(path, serde_json::to_string_pretty(value)?)?;
    Ok(())
}
pub mod table {
    pub fn render(run: &super::Run) -> String {
        let mut out = String::new();
        for s in &run.steps {
            let mut s2 = s.clone();
            s2.latency_curve.clear();
            out += &format!("{:#?}\n", s2);
        }
        out += &format!("{:#?} {:#?}", run.findings, run.self_check);
        out
    }
}
pub mod html {
    pub fn render(_: &super::Run) -> String {
        String::new()
    }
}

pub fn read_json<T: serde::de::DeserializeOwned>(path: &std::path::Path) -> anyhow::Result<T> {
    Ok(serde_json::from_str(&std::fs::read_to_string(path)?)?)
}
