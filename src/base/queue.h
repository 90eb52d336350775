/*
 * queue.h: a bounded first-in first-out queue of pointers between threads.
 *
 * Closing wakes everyone: pushes then fail, pops drain what is left and then fail.
 */
#ifndef EARSHOT_BASE_QUEUE_H
#define EARSHOT_BASE_QUEUE_H

#include <stdbool.h>

struct queue;

struct queue *queue_new(int capacity); /* NULL when out of memory */
void queue_free(struct queue *queue);  /* no thread may still wait; items left are the caller's */

/* Waits for room.  False if the queue is closed: the item stays the caller's. */
bool queue_push(struct queue *queue, void *item);
/* Waits for an item.  False if the queue is closed and empty. */
bool queue_pop(struct queue *queue, void **item);
void queue_close(struct queue *queue);

#endif
