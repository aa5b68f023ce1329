#include <linux/mmu_notifier.h>
#include "bad.h"

/* B1: a mutex at once; the patch is for this */
static bool bad_mutex(struct mmu_interval_notifier *mni,
		      const struct mmu_notifier_range *range,
		      unsigned long cur_seq)
{
	struct thing *t = container_of(mni, struct thing, notifier);

	if (range->event == MMU_NOTIFY_UNMAP) {
		mutex_lock(&t->mutex);
		mmu_interval_set_seq(mni, cur_seq);
		mutex_unlock(&t->mutex);
	}
	return true;
}

/* B2: the same in a list notifier, with a semaphore */
static int bad_down(struct mmu_notifier *mn,
		    const struct mmu_notifier_range *upd)
{
	struct thing *t = container_of(mn, struct thing, mn);

	down_write(&t->sem);
	t->seq++;
	up_write(&t->sem);
	return 0;
}

/* B3: two levels down, in a header, and an allocation */
static void level2(struct thing *t)
{
	thing_lock(t);
	t->p = kzalloc(16, GFP_KERNEL | __GFP_NOWARN);
	thing_unlock(t);
}

static void level1(struct thing *t)
{
	level2(t);
}

static bool bad_deep(struct mmu_interval_notifier *mni,
		     const struct mmu_notifier_range *range,
		     unsigned long cur_seq)
{
	struct thing *t = container_of(mni, struct thing, notifier);

	level1(t);
	return true;
}

/* B4: refuses before the check; sleeps where it must not */
static bool bad_order(struct mmu_interval_notifier *mni,
		      const struct mmu_notifier_range *range,
		      unsigned long cur_seq)
{
	struct thing *t = container_of(mni, struct thing, notifier);
	unsigned long start = range->start;

	if (!mmu_notifier_range_blockable(range))
		return false;
	if (start >= t->end)
		return true;
	mutex_lock(&t->mutex);
	mutex_unlock(&t->mutex);
	return true;
}

/* B5: a list notifier that refuses all */
static int bad_all(struct mmu_notifier *mn,
		   const struct mmu_notifier_range *range)
{
	struct thing *t = container_of(mn, struct thing, mn);

	if (!mmu_notifier_range_blockable(range)) {
		t->refused++;
		return -EAGAIN;
	}
	mutex_lock(&t->mutex);
	mutex_unlock(&t->mutex);
	return 0;
}

/* B6: tries the lock, and then waits in both cases */
static bool bad_past(struct mmu_interval_notifier *mni,
		     const struct mmu_notifier_range *range,
		     unsigned long cur_seq)
{
	struct thing *t = container_of(mni, struct thing, notifier);

	if (mmu_notifier_range_blockable(range))
		mutex_lock(&t->mutex);
	else if (!mutex_trylock(&t->mutex))
		return false;
	dma_resv_wait_timeout(t->resv, 0, false, 100);
	mutex_unlock(&t->mutex);
	return true;
}

/* B7: the wrong branch */
static bool bad_branch(struct mmu_interval_notifier *mni,
		       const struct mmu_notifier_range *range,
		       unsigned long cur_seq)
{
	struct thing *t = container_of(mni, struct thing, notifier);

	if (t->idle)
		return true;
	if (!mmu_notifier_range_blockable(range)) {
		flush_work(&t->work);
		return false;
	}
	return true;
}

/* B8: an end that sleeps */
static void bad_end(struct mmu_notifier *mn,
		    const struct mmu_notifier_range *range)
{
	struct thing *t = container_of(mn, struct thing, mn);

	synchronize_srcu(&t->srcu);
}

/* B9: no test, and calls out */
static int bad_unknown(struct mmu_notifier *mn,
		       const struct mmu_notifier_range *range)
{
	struct thing *t = container_of(mn, struct thing, mn);

	flush_the_tlb_of(t, range->start, range->end);
	return 0;
}

/* B10: a lock that is known by name only */
static bool bad_named(struct mmu_interval_notifier *mni,
		      const struct mmu_notifier_range *range,
		      unsigned long cur_seq)
{
	struct thing *t = container_of(mni, struct thing, notifier);

	other_thing_lock(t->other);
	other_thing_unlock(t->other);
	return true;
}

/* B11: tested on one path only */
static bool bad_path(struct mmu_interval_notifier *mni,
		     const struct mmu_notifier_range *range,
		     unsigned long cur_seq)
{
	struct thing *t = container_of(mni, struct thing, notifier);

	if (t->flag) {
		if (!mmu_notifier_range_blockable(range))
			return false;
	}
	mutex_lock(&t->mutex);
	mutex_unlock(&t->mutex);
	return true;
}

/* B12: no patch here, a change before the lock */
static bool bad_changed(struct mmu_interval_notifier *mni,
			const struct mmu_notifier_range *range,
			unsigned long cur_seq)
{
	struct thing *t = container_of(mni, struct thing, notifier);

	t->seq = cur_seq;
	mutex_lock(&t->mutex);
	mutex_unlock(&t->mutex);
	return true;
}

/* B13: nor here, two locks */
static bool bad_twice(struct mmu_interval_notifier *mni,
		      const struct mmu_notifier_range *range,
		      unsigned long cur_seq)
{
	struct thing *t = container_of(mni, struct thing, notifier);

	mutex_lock(&t->mutex);
	mutex_lock_nested(&t->mutex2, 1);
	mutex_unlock(&t->mutex2);
	mutex_unlock(&t->mutex);
	return true;
}

/* B14: nor here, in a loop */
static bool bad_looped(struct mmu_interval_notifier *mni,
		       const struct mmu_notifier_range *range,
		       unsigned long cur_seq)
{
	struct thing *t = container_of(mni, struct thing, notifier);
	int i;

	for (i = 0; i < 2; i++) {
		mutex_lock(&t[i].mutex);
		mutex_unlock(&t[i].mutex);
	}
	return true;
}

/* B15: nothing to look at, refuses everything */
static bool bad_first(struct mmu_interval_notifier *mni,
		      const struct mmu_notifier_range *range,
		      unsigned long cur_seq)
{
	struct thing *t = container_of(mni, struct thing, notifier);

	if (!mmu_notifier_range_blockable(range))
		return false;
	mutex_lock(&t->mutex);
	mmu_interval_set_seq(mni, cur_seq);
	mutex_unlock(&t->mutex);
	return true;
}

/* B16: the lock under an if without braces; the patch is for this, too */
static bool bad_braces(struct mmu_interval_notifier *mni,
		       const struct mmu_notifier_range *range,
		       unsigned long cur_seq)
{
	struct thing *t = container_of(mni, struct thing, notifier);
	bool locked = t->shared;

	if (locked)
		mutex_lock(&t->mutex);
	else
		spin_lock(&t->lock);
	mmu_interval_set_seq(mni, cur_seq);
	if (locked)
		mutex_unlock(&t->mutex);
	else
		spin_unlock(&t->lock);
	return true;
}

/* B17: the wrong branch, without braces */
static bool bad_branch2(struct mmu_interval_notifier *mni,
			const struct mmu_notifier_range *range,
			unsigned long cur_seq)
{
	struct thing *t = container_of(mni, struct thing, notifier);

	if (mmu_notifier_range_blockable(range))
		mmu_interval_set_seq(mni, cur_seq);
	else
		flush_work(&t->work);
	return true;
}

/* B18: as B4, with unlikely() */
static bool bad_order2(struct mmu_interval_notifier *mni,
		       const struct mmu_notifier_range *range,
		       unsigned long cur_seq)
{
	struct thing *t = container_of(mni, struct thing, notifier);

	if (unlikely(!mmu_notifier_range_blockable(range)))
		return false;
	if (range->start >= t->end)
		return true;
	cancel_work_sync(&t->work);
	return true;
}

/* B19, B20: two callbacks with one helper, in an array of ops */
static void shared(struct thing *t)
{
	if (!down_read_trylock(&t->sem))
		down_read(&t->sem);
	up_read(&t->sem);
}

static int bad_shared1(struct mmu_notifier *mn,
		       const struct mmu_notifier_range *range)
{
	shared(container_of(mn, struct thing, mn));
	return 0;
}

static void bad_shared2(struct mmu_notifier *mn,
			const struct mmu_notifier_range *range)
{
	shared(container_of(mn, struct thing, mn));
}
