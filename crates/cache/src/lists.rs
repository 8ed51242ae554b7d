//! Doubly linked lists threaded through one array by index.
//!
//! 1. A node is on at most one list; `Node::queue` names it, `Queue::None` if it is on none.
//! 2. A list's `bytes` is the sum of its nodes' weights.
//! 3. Only the holder of the shard's lock touches any of this.

/// No node.
pub(crate) const NIL: u32 = u32::MAX;

/// Which list of its policy a node is on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Queue {
    #[default]
    None,
    /// Entries on trial (S3-FIFO's small queue).
    Trial,
    /// The main list.
    Main,
    /// The high-priority list of LRU.
    High,
    /// Entries that are evicted last.
    Pinned,
}

/// What a policy knows of an entry, besides its mark.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Node {
    prev: u32,
    next: u32,
    pub(crate) weight: u32,
    pub(crate) hash: u32,
    pub(crate) queue: Queue,
}

/// The nodes of a shard, by slot index.
#[derive(Debug, Default)]
pub(crate) struct Nodes {
    nodes: Vec<Node>,
}

impl Nodes {
    /// Makes `index` a node on no list.
    pub(crate) fn reset(&mut self, index: u32, weight: u32, hash: u32) {
        let at = index as usize;
        if at >= self.nodes.len() {
            self.nodes.resize(at + 1, Node::default());
        }
        self.nodes[at] = Node { prev: NIL, next: NIL, weight, hash, queue: Queue::None };
    }

    pub(crate) fn get(&self, index: u32) -> &Node {
        &self.nodes[index as usize]
    }

    fn get_mut(&mut self, index: u32) -> &mut Node {
        &mut self.nodes[index as usize]
    }

    pub(crate) fn memory_usage(&self) -> usize {
        self.nodes.capacity() * size_of::<Node>()
    }
}

/// One list: front is newest, back is next to go.
#[derive(Debug)]
pub(crate) struct List {
    queue: Queue,
    front: u32,
    back: u32,
    count: u32,
    bytes: u64,
}

impl List {
    pub(crate) fn new(queue: Queue) -> Self {
        Self { queue, front: NIL, back: NIL, count: 0, bytes: 0 }
    }

    pub(crate) fn back(&self) -> Option<u32> {
        (self.back != NIL).then_some(self.back)
    }

    pub(crate) fn count(&self) -> u32 {
        self.count
    }

    pub(crate) fn bytes(&self) -> u64 {
        self.bytes
    }

    pub(crate) fn push_front(&mut self, nodes: &mut Nodes, index: u32) {
        let old = std::mem::replace(&mut self.front, index);
        self.joined(nodes, index, NIL, old);
        if old == NIL {
            self.back = index;
        } else {
            nodes.get_mut(old).prev = index;
        }
    }

    pub(crate) fn push_back(&mut self, nodes: &mut Nodes, index: u32) {
        let old = std::mem::replace(&mut self.back, index);
        self.joined(nodes, index, old, NIL);
        if old == NIL {
            self.front = index;
        } else {
            nodes.get_mut(old).next = index;
        }
    }

    fn joined(&mut self, nodes: &mut Nodes, index: u32, prev: u32, next: u32) {
        let node = nodes.get_mut(index);
        assert!(node.queue == Queue::None, "a node is on one list at most");
        (node.prev, node.next, node.queue) = (prev, next, self.queue);
        self.count += 1;
        self.bytes += u64::from(node.weight);
    }

    pub(crate) fn unlink(&mut self, nodes: &mut Nodes, index: u32) {
        let node = nodes.get_mut(index);
        assert!(node.queue == self.queue, "the node is on this list");
        node.queue = Queue::None;
        self.count -= 1;
        self.bytes -= u64::from(node.weight);
        let (prev, next) = (node.prev, node.next);
        if prev == NIL {
            self.front = next;
        } else {
            nodes.get_mut(prev).next = next;
        }
        if next == NIL {
            self.back = prev;
        } else {
            nodes.get_mut(next).prev = prev;
        }
    }

    /// Visits the list from its front.
    pub(crate) fn iter<'a>(&'a self, nodes: &'a Nodes) -> impl Iterator<Item = u32> + 'a {
        let mut at = self.front;
        std::iter::from_fn(move || {
            let index = (at != NIL).then_some(at)?;
            at = nodes.get(index).next;
            Some(index)
        })
    }

    /// Checks the list's links and sums.
    /// # Panics
    /// If they do not agree with each other.
    pub(crate) fn validate(&self, nodes: &Nodes) {
        let (mut count, mut bytes, mut prev) = (0, 0, NIL);
        for index in self.iter(nodes) {
            let node = nodes.get(index);
            assert!(node.queue == self.queue, "node {index} knows its list");
            assert_eq!(node.prev, prev, "node {index} knows its neighbour");
            count += 1;
            bytes += u64::from(node.weight);
            prev = index;
        }
        assert_eq!(self.back, prev, "the back is the last");
        assert_eq!((self.count, self.bytes), (count, bytes), "count and bytes of the list");
    }
}
