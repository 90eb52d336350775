/* test_queue.c: order, bounds and closing, with threads on both ends. */
#include "support/test.h"

#include <pthread.h>

#include "base/queue.h"

enum { PRODUCERS = 3, CONSUMERS = 4, ITEMS = 2000 };

static int item[PRODUCERS * ITEMS];

struct producer {
    struct queue *queue;
    int first, pushed;
};

static void *produce(void *context)
{
    struct producer *producer = context;

    for (int i = 0; i < ITEMS; i++)
        producer->pushed += queue_push(producer->queue, &item[producer->first + i]);
    return NULL;
}

struct consumer {
    struct queue *queue;
    int count, out_of_order;
    unsigned char seen[PRODUCERS * ITEMS];
};

static void *consume(void *context)
{
    struct consumer *consumer = context;
    int last[PRODUCERS] = {-1, -1, -1};
    void *got;

    while (queue_pop(consumer->queue, &got)) {
        int index = (int)((int *)got - item);

        consumer->seen[index]++;
        consumer->count++;
        consumer->out_of_order += index <= last[index / ITEMS];
        last[index / ITEMS] = index;
    }
    return NULL;
}

static void test_many_threads(void **state)
{
    static struct consumer consumer[CONSUMERS];
    struct producer producer[PRODUCERS];
    pthread_t in[PRODUCERS], out[CONSUMERS];
    struct queue *queue = queue_new(5);
    int total = 0;

    (void)state;
    for (int i = 0; i < CONSUMERS; i++) {
        consumer[i] = (struct consumer){.queue = queue};
        assert_int_equal(pthread_create(&out[i], NULL, consume, &consumer[i]), 0);
    }
    for (int i = 0; i < PRODUCERS; i++) {
        producer[i] = (struct producer){queue, i * ITEMS, 0};
        assert_int_equal(pthread_create(&in[i], NULL, produce, &producer[i]), 0);
    }
    for (int i = 0; i < PRODUCERS; i++) {
        pthread_join(in[i], NULL);
        assert_int_equal(producer[i].pushed, ITEMS);
    }
    queue_close(queue);
    for (int i = 0; i < CONSUMERS; i++) {
        pthread_join(out[i], NULL);
        assert_int_equal(consumer[i].out_of_order, 0);
        total += consumer[i].count;
    }
    assert_int_equal(total, PRODUCERS * ITEMS);
    for (int k = 0; k < PRODUCERS * ITEMS; k++) { /* every item once */
        int times = 0;

        for (int i = 0; i < CONSUMERS; i++)
            times += consumer[i].seen[k];
        assert_int_equal(times, 1);
    }
    queue_free(queue);
}

static void test_close_drains(void **state)
{
    struct queue *queue = queue_new(3);
    void *got;

    (void)state;
    assert_true(queue_push(queue, &item[0]));
    assert_true(queue_push(queue, NULL));
    queue_close(queue);
    assert_false(queue_push(queue, &item[2]));
    assert_true(queue_pop(queue, &got));
    assert_ptr_equal(got, &item[0]);
    assert_true(queue_pop(queue, &got));
    assert_null(got);
    assert_false(queue_pop(queue, &got));
    queue_free(queue);
    queue_free(NULL);
}

/* A producer that waits for room must wake and be refused when the queue closes. */
static void test_close_wakes_a_waiting_push(void **state)
{
    struct producer producer = {queue_new(1), 0, 0};
    pthread_t thread;
    void *got;

    (void)state;
    assert_int_equal(pthread_create(&thread, NULL, produce, &producer), 0);
    assert_true(queue_pop(producer.queue, &got));
    queue_close(producer.queue);
    pthread_join(thread, NULL);
    assert_in_range(producer.pushed, 1, 2);
    queue_free(producer.queue);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_many_threads),
        cmocka_unit_test(test_close_drains),
        cmocka_unit_test(test_close_wakes_a_waiting_push),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
