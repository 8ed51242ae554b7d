//! Doubly linked lists threaded through one array by index.
//!
//! 1. A node is on at most one list; its queue names it, `Queue::None` if it is on none.
//! 2. A list's `bytes` is the sum of its nodes' weights.
//! 3. Only the holder of the shard's lock touches any of this.

/// No node.
pub(crate) const NIL: u32 = u32::MAX;

/// Which list of its policy a node is on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Queue {
    None = 0,
    /// The policy's own: S3-FIFO's entries on trial, LRU's of high priority.
    First = 1,
    /// The main list.
    Main = 2,
    /// Entries that are evicted last.
    Pinned = 3,
}

/// Largest weight of a node: the other two bits name its list.
pub(crate) const WEIGHT_MAX: u32 = (1 << 30) - 1;

/// What a policy knows of an entry, besides its mark. 16 bytes.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Node {
    prev: u32,
    next: u32,
    pub(crate) hash: u32,
    /// Queue in the high two bits.
    queue_and_weight: u32,
}

impl Node {
    pub(crate) fn weight(&self) -> u64 {
        u64::from(self.queue_and_weight & WEIGHT_MAX)
    }

    pub(crate) fn queue(&self) -> Queue {
        match self.queue_and_weight >> 30 {
            0 => Queue::None,
            1 => Queue::First,
            2 => Queue::Main,
            _ => Queue::Pinned,
        }
    }

    fn set_queue(&mut self, queue: Queue) {
        self.queue_and_weight = self.queue_and_weight & WEIGHT_MAX | (queue as u32) << 30;
    }
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
            if at >= self.nodes.capacity() {
                self.nodes.reserve_exact(at / 4 + 64); // doubling would waste more
            }
            self.nodes.resize(at + 1, Node::default());
        }
        assert!(weight <= WEIGHT_MAX, "heavier entries are refused");
        self.nodes[at] = Node { prev: NIL, next: NIL, hash, queue_and_weight: weight };
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
        assert!(node.queue() == Queue::None, "a node is on one list at most");
        (node.prev, node.next) = (prev, next);
        node.set_queue(self.queue);
        self.count += 1;
        self.bytes += node.weight();
    }

    pub(crate) fn unlink(&mut self, nodes: &mut Nodes, index: u32) {
        let node = nodes.get_mut(index);
        assert!(node.queue() == self.queue, "the node is on this list");
        node.set_queue(Queue::None);
        self.count -= 1;
        self.bytes -= node.weight();
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
            assert!(node.queue() == self.queue, "node {index} knows its list");
            assert_eq!(node.prev, prev, "node {index} knows its neighbour");
            count += 1;
            bytes += node.weight();
            prev = index;
        }
        assert_eq!(self.back, prev, "the back is the last");
        assert_eq!((self.count, self.bytes), (count, bytes), "count and bytes of the list");
    }
}
