//! A namespace for one test.

use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use anyhow::{Context, Result};
use k8s_openapi::api::authentication::v1::{TokenRequest, TokenRequestSpec};
use k8s_openapi::api::core::v1::{Namespace as Resource, Secret, ServiceAccount};
use kube::api::{ObjectMeta, Patch, PatchParams, PostParams};
use kube::{Api, Client};
use serde_json::json;

use crate::control_plane::ControlPlane;
use crate::wait::until;

/// A namespace of the shared control plane, which ends with it.
#[derive(Clone)]
pub struct Namespace {
    /// Its name.
    pub name: String,
    /// A client with all rights.
    pub client: Client,
    plane: &'static ControlPlane,
}

impl Namespace {
    pub(crate) async fn create(plane: &'static ControlPlane, name: &str) -> Result<Self> {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let name = format!("{name}-{}", NEXT.fetch_add(1, Ordering::Relaxed));
        let client = plane.client().await?;
        let resource = Resource {
            metadata: ObjectMeta { name: Some(name.clone()), ..Default::default() },
            ..Default::default()
        };
        Api::all(client.clone()).create(&PostParams::default(), &resource).await?;
        let namespace = Self { name, client, plane };
        let accounts: Api<ServiceAccount> = namespace.api();
        until("the default ServiceAccount", Duration::from_secs(20), async || {
            Ok(accounts.get("default").await?)
        })
        .await?;
        Ok(namespace)
    }

    /// The API of a resource in this namespace.
    pub fn api<K>(&self) -> Api<K>
    where
        K: kube::Resource<Scope = kube::core::NamespaceResourceScope>,
        K::DynamicType: Default,
    {
        Api::namespaced(self.client.clone(), &self.name)
    }

    /// Applies documents here; the error holds the refusal.
    pub fn apply(&self, documents: &str) -> Result<String> {
        self.plane.apply(&self.name, documents)
    }

    /// Runs kubectl here, with all rights.
    pub fn kubectl(&self, args: &[&str]) -> Result<String> {
        let mut all = vec!["-n", self.name.as_str()];
        all.extend_from_slice(args);
        self.plane.kubectl(&all)
    }

    /// Runs helm here, with all rights.
    pub fn helm(&self, args: &[&str]) -> Result<String> {
        let mut all = vec!["-n", self.name.as_str()];
        all.extend_from_slice(args);
        self.plane.helm(&all)
    }

    /// Makes a Secret be as given.
    pub async fn secret(&self, name: &str, data: &[(&str, &str)]) -> Result<()> {
        let data: serde_json::Map<_, _> =
            data.iter().map(|(key, value)| ((*key).into(), (*value).into())).collect();
        let secret =
            json!({ "apiVersion": "v1", "kind": "Secret", "metadata": { "name": name }, "stringData": data });
        let how = PatchParams::apply("sower-tests").force();
        self.api::<Secret>().patch(name, &how, &Patch::Apply(secret)).await?;
        Ok(())
    }

    /// A token of a ServiceAccount of this namespace, good for an hour.
    pub async fn token(&self, account: &str) -> Result<String> {
        let request = TokenRequest {
            spec: TokenRequestSpec { expiration_seconds: Some(3600), ..Default::default() },
            ..Default::default()
        };
        let accounts: Api<ServiceAccount> = self.api();
        let answer = accounts.create_token_request(account, &PostParams::default(), &request).await?;
        Ok(answer.status.context("a token request without an answer")?.token)
    }

    /// A kubeconfig that acts as a ServiceAccount of this namespace, with no other right.
    pub async fn kubeconfig_of(&self, account: &str) -> Result<PathBuf> {
        self.plane.kubeconfig(&self.token(account).await?, &self.name)
    }
}
