// The few calls of WiredTiger that the adapter makes; its C face is tables of function pointers.
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <wiredtiger.h>

typedef struct {
    WT_SESSION *session;
    WT_CURSOR *cursor;
} calls_session;

int calls_open(const char *path, const char *config, void **connection) {
    WT_SESSION *session;
    int failed = wiredtiger_open(path, NULL, config, (WT_CONNECTION **)connection);
    if (failed) return failed;
    WT_CONNECTION *opened = *connection;
    if ((failed = opened->open_session(opened, NULL, NULL, &session))) return failed;
    failed = session->create(session, "table:all",
        "key_format=u,value_format=u,block_compressor=snappy,leaf_page_max=4KB");
    return failed ? failed : session->close(session, NULL);
}

int calls_close(void *connection) {
    return ((WT_CONNECTION *)connection)->close(connection, NULL);
}

int calls_session_open(void *connection, calls_session **out) {
    calls_session *made = calloc(1, sizeof(*made));
    if (!made) return -1;
    WT_CONNECTION *opened = connection;
    int failed = opened->open_session(opened, NULL, NULL, &made->session);
    if (!failed)
        failed = made->session->open_cursor(made->session, "table:all", NULL, NULL, &made->cursor);
    *out = made;
    return failed;
}

void calls_session_close(calls_session *session) {
    session->session->close(session->session, NULL);
    free(session);
}

int calls_put(calls_session *s, const void *key, size_t key_len, const void *value, size_t len) {
    WT_ITEM k = {.data = key, .size = key_len}, v = {.data = value, .size = len};
    s->cursor->set_key(s->cursor, &k);
    s->cursor->set_value(s->cursor, &v);
    return s->cursor->insert(s->cursor);
}

int calls_delete(calls_session *s, const void *key, size_t key_len) {
    WT_ITEM k = {.data = key, .size = key_len};
    s->cursor->set_key(s->cursor, &k);
    int failed = s->cursor->remove(s->cursor);
    s->cursor->reset(s->cursor);
    return failed == WT_NOTFOUND ? 0 : failed;
}

int calls_begin(calls_session *s) { return s->session->begin_transaction(s->session, NULL); }
int calls_commit(calls_session *s) { return s->session->commit_transaction(s->session, NULL); }

// 1: on the key, 0: not found, else an error less than zero.
int calls_find(calls_session *s, const void *key, size_t key_len) {
    WT_ITEM k = {.data = key, .size = key_len};
    s->cursor->set_key(s->cursor, &k);
    int failed = s->cursor->search(s->cursor);
    return failed == 0 ? 1 : failed == WT_NOTFOUND ? 0 : -1;
}

// On the first key at or after the one given; answers as calls_find.
int calls_seek(calls_session *s, const void *key, size_t key_len) {
    int exact = 0, failed;
    if (key_len == 0) {
        failed = s->cursor->next(s->cursor);
    } else {
        WT_ITEM k = {.data = key, .size = key_len};
        s->cursor->set_key(s->cursor, &k);
        failed = s->cursor->search_near(s->cursor, &exact);
        if (failed == 0 && exact < 0) failed = s->cursor->next(s->cursor);
    }
    return failed == 0 ? 1 : failed == WT_NOTFOUND ? 0 : -1;
}

int calls_next(calls_session *s) {
    int failed = s->cursor->next(s->cursor);
    return failed == 0 ? 1 : failed == WT_NOTFOUND ? 0 : -1;
}

int calls_entry(calls_session *s, const void **key, size_t *key_len, const void **value, size_t *len) {
    WT_ITEM k, v;
    int failed = s->cursor->get_key(s->cursor, &k);
    if (!failed) failed = s->cursor->get_value(s->cursor, &v);
    if (failed) return failed;
    *key = k.data, *key_len = k.size, *value = v.data, *len = v.size;
    return 0;
}

int calls_reset(calls_session *s) { return s->cursor->reset(s->cursor); }

int calls_checkpoint(calls_session *s) { return s->session->checkpoint(s->session, NULL); }

int calls_compact(calls_session *s) { return s->session->compact(s->session, "table:all", NULL); }
