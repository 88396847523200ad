// A server whose threads pass objects on: four stages, each a thread, work on sessions that travel through all of them.
// A session is allocated piece by piece by three threads and freed piece by piece by four: the first reads a request,
// the second splits it into fields, the third writes a reply that grows, the fourth drops what is left. A thread ends
// after some batches and its successor goes on with what lies in its inbox. An operation is one block's life.
//
// It checks itself: a session carries sums of its parts, which the last thread verifies, and all must arrive. (As
// *larson* of the field's suites, and servers; the code is ours.)

#include "blocks.h"

#include <pthread.h>

enum { stage_count = 4, batch_count = 64, batches_in_flight = 8, batches_per_thread = 200, field_count = 6 };

struct session {
    uint64_t number;
    char *name;
    char *request, *reply;
    size_t request_size, reply_size;
    char *fields[field_count];
    size_t field_sizes[field_count];
    uint64_t sum; // of the parts that are there
};

struct batch {
    struct batch *next;
    struct session *sessions[batch_count];
};

// What is on its way to a stage.
struct inbox {
    pthread_mutex_t mutex;
    pthread_cond_t changed;
    struct batch *first, *last;
};

struct stage {
    struct inbox inbox;
    uint64_t batches_left;
    uint64_t random_state;
    uint64_t blocks_made; // by the threads of this stage, one after the other
    uint64_t numbers;     // of the sessions that it saw, summed up
    bool has_predecessor;
    pthread_t predecessor;
};

static struct stage stages[stage_count];
static struct size_table name_sizes, request_sizes, field_sizes, reply_sizes;
static uint64_t batches_wanted;
static pthread_mutex_t end_mutex = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t end_changed = PTHREAD_COND_INITIALIZER;
static int stages_ended;

static void send(struct inbox *inbox, struct batch *batch) {
    batch->next = NULL;
    pthread_mutex_lock(&inbox->mutex);
    if (inbox->first == NULL) {
        inbox->first = batch;
        pthread_cond_signal(&inbox->changed);
    } else {
        inbox->last->next = batch;
    }
    inbox->last = batch;
    pthread_mutex_unlock(&inbox->mutex);
}

static struct batch *receive(struct inbox *inbox) {
    pthread_mutex_lock(&inbox->mutex);
    while (inbox->first == NULL)
        pthread_cond_wait(&inbox->changed, &inbox->mutex);
    struct batch *batch = inbox->first;
    inbox->first = batch->next;
    pthread_mutex_unlock(&inbox->mutex);
    return batch;
}

static char *part_make(struct stage *stage, size_t size) {
    stage->blocks_made++;
    return block_make(size);
}

// What a part adds to its session's sum: block_write put a word that depends on address and size at its start.
static uint64_t part_sum(const char *part) {
    uint64_t word;
    memcpy(&word, part, sizeof word);
    return word;
}

static void read_request(struct stage *stage, struct session **place, uint64_t number) {
    struct session *session = calloc(1, sizeof *session);
    if (session == NULL)
        fail("calloc failed", NULL, sizeof *session);
    stage->blocks_made++;
    uint64_t random = random_next(&stage->random_state);
    session->number = number;
    session->name = part_make(stage, size_table_draw(&name_sizes, random));
    session->request_size = size_table_draw(&request_sizes, random >> 20);
    session->request = part_make(stage, session->request_size);
    session->sum = part_sum(session->name) + part_sum(session->request);
    *place = session;
}

static void split_into_fields(struct stage *stage, struct session *session) {
    for (int i = 0; i < field_count; i++) {
        session->field_sizes[i] = size_table_draw(&field_sizes, random_next(&stage->random_state));
        session->fields[i] = part_make(stage, session->field_sizes[i]);
        session->sum += part_sum(session->fields[i]);
    }
    session->sum -= part_sum(session->request);
    block_drop(session->request, session->request_size);
    session->request = NULL;
}

static void write_reply(struct stage *stage, struct session *session) {
    for (int i = 0; i < field_count; i += 2) {
        session->sum -= part_sum(session->fields[i]);
        block_drop(session->fields[i], session->field_sizes[i]);
    }
    size_t final = size_table_draw(&reply_sizes, random_next(&stage->random_state));
    session->reply_size = final / 4;
    session->reply = part_make(stage, session->reply_size);
    while (session->reply_size < final) {
        uint64_t before = part_sum(session->reply);
        session->reply_size *= 2;
        session->reply = realloc(session->reply, session->reply_size);
        if (session->reply == NULL)
            fail("realloc failed", NULL, session->reply_size);
        stage->blocks_made++;
        if (part_sum(session->reply) != before)
            fail("contents changed by realloc", session->reply, session->reply_size);
    }
    block_write(session->reply, session->reply_size);
    session->sum += part_sum(session->reply);
}

static void close_session(struct session *session) {
    session->sum -= part_sum(session->name) + part_sum(session->reply);
    for (int i = 1; i < field_count; i += 2) {
        session->sum -= part_sum(session->fields[i]);
        block_drop(session->fields[i], session->field_sizes[i]);
    }
    if (session->sum != 0)
        fail("parts of a session changed on their way", session, session->number);
    free(session->name);
    block_drop(session->reply, session->reply_size);
    free(session);
}

static void work_on(struct stage *stage, struct batch *batch, uint64_t first_number) {
    long position = stage - stages;
    for (int i = 0; i < batch_count; i++) {
        if (position == 0)
            read_request(stage, &batch->sessions[i], first_number + (uint64_t)i);
        struct session *session = batch->sessions[i];
        stage->numbers += session->number;
        if (position == 1)
            split_into_fields(stage, session);
        else if (position == 2)
            write_reply(stage, session);
        else if (position == 3)
            close_session(session);
    }
}

static void *stage_thread(void *argument) {
    struct stage *stage = argument;
    if (stage->has_predecessor)
        pthread_join(stage->predecessor, NULL);
    for (int i = 0; i < batches_per_thread && stage->batches_left > 0; i++, stage->batches_left--) {
        struct batch *batch = receive(&stage->inbox);
        work_on(stage, batch, (batches_wanted - stage->batches_left) * batch_count);
        send(&stages[(stage - stages + 1) % stage_count].inbox, batch);
    }
    stage->predecessor = pthread_self();
    stage->has_predecessor = true;
    pthread_t successor;
    if (stage->batches_left > 0) {
        if (pthread_create(&successor, NULL, stage_thread, stage) != 0)
            fail("cannot create a thread", NULL, stage->batches_left);
        return NULL;
    }
    pthread_mutex_lock(&end_mutex);
    stages_ended++;
    pthread_cond_signal(&end_changed);
    pthread_mutex_unlock(&end_mutex);
    return NULL;
}

static uint64_t server_sessions(uint64_t operations) {
    enum { blocks_per_session = 12 };
    batches_wanted = operations / (blocks_per_session * batch_count) + 1;
    size_table_fill(&name_sizes, 8, 40);
    size_table_fill(&request_sizes, 64, 2048);
    size_table_fill(&field_sizes, 8, 128);
    size_table_fill(&reply_sizes, 256, 8192);
    struct batch *batches = table_make(batches_in_flight, sizeof *batches);
    for (int i = 0; i < stage_count; i++) {
        pthread_mutex_init(&stages[i].inbox.mutex, NULL);
        pthread_cond_init(&stages[i].inbox.changed, NULL);
        stages[i].batches_left = batches_wanted;
        stages[i].random_state = 0xd1310ba698dfb5ac + (uint64_t)i;
    }
    for (int i = 0; i < batches_in_flight; i++)
        send(&stages[0].inbox, &batches[i]);

    timed_part_begin();
    for (int i = 0; i < stage_count; i++) {
        pthread_t first;
        if (pthread_create(&first, NULL, stage_thread, &stages[i]) != 0)
            fail("cannot create a thread", NULL, (size_t)i);
    }
    pthread_mutex_lock(&end_mutex);
    while (stages_ended < stage_count)
        pthread_cond_wait(&end_changed, &end_mutex);
    pthread_mutex_unlock(&end_mutex);
    uint64_t blocks_made = 0, sessions = batches_wanted * batch_count;
    for (int i = 0; i < stage_count; i++) {
        pthread_join(stages[i].predecessor, NULL);
        blocks_made += stages[i].blocks_made;
        if (stages[i].numbers != sessions * (sessions - 1) / 2)
            fail("sessions were lost or doubled", NULL, stages[i].numbers);
    }
    timed_part_end();
    return blocks_made;
}

const struct workload session_workloads[] = {
    {"server-sessions", "four threads that pass sessions on, allocate and free parts of them, end and are followed",
     4000000, false, server_sessions},
    {0},
};
