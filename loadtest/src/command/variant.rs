use loadtest::version::{self, Version};

#[derive(clap::Args)]
pub(crate) struct Variant {
    /// Run one of the version's variants
    #[arg(long)]
    variant: Option<String>,
}

impl Variant {
    /// The version's variant with this name; `None` if no name is given.
    pub(crate) fn of(&self, version: Version) -> anyhow::Result<Option<version::Variant>> {
        let named = self.variant.as_ref().map(|name| version.variant(name));
        named.transpose().map_err(anyhow::Error::msg)
    }
}
