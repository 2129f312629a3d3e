//! What is to be reconciled next. It is open only while this process leads.

use std::sync::{Mutex, PoisonError};

use futures::Stream;
use kube::Resource;
use kube::runtime::controller::ReconcileRequest;
use kube::runtime::reflector::{Lookup, ObjectRef};
use kube::runtime::watcher;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

/// Where whoever noticed something says who is to be reconciled. The scheduler behind it drops repetitions.
pub struct Queue<K: Lookup>(Mutex<Option<UnboundedSender<ObjectRef<K>>>>);

impl<K: Lookup> Default for Queue<K> {
    fn default() -> Self {
        Self(Mutex::new(None))
    }
}

impl<K: Lookup<DynamicType = ()>> Queue<K> {
    /// Begins anew: who was listening until now is told to end.
    pub fn open(&self) -> UnboundedReceiver<ObjectRef<K>> {
        let (sender, receiver) = unbounded_channel();
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(sender);
        receiver
    }

    /// Ends: what is under way is finished, nothing new begins.
    pub fn close(&self) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take();
    }

    /// Wakes one object. Nothing happens while nobody leads here: whoever begins to lead looks at everything.
    pub fn wake(&self, namespace: &str, name: &str) {
        if let Some(sender) = &*self.0.lock().unwrap_or_else(PoisonError::into_inner) {
            // A receiver that is gone has ended its leadership.
            let _ = sender.send(ObjectRef::new(name).within(namespace));
        }
    }
}

/// A queue as the scheduler takes it.
pub fn queued<K>(
    receiver: UnboundedReceiver<ObjectRef<K>>,
) -> impl Stream<Item = Result<ReconcileRequest<K>, watcher::Error>>
where
    K: Resource<DynamicType = ()> + 'static,
{
    futures::stream::unfold(receiver, |mut receiver| async move {
        let next = receiver.recv().await?;
        Some((Ok(ReconcileRequest::from(next)), receiver))
    })
}
