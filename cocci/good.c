#include <linux/mmu_notifier.h>

/* 1: trylock */
static bool good_trylock(struct mmu_interval_notifier *mni,
			 const struct mmu_notifier_range *range,
			 unsigned long cur_seq)
{
	struct thing *t = container_of(mni, struct thing, notifier);

	if (mmu_notifier_range_blockable(range))
		mutex_lock(&t->mutex);
	else if (!mutex_trylock(&t->mutex))
		return false;
	mmu_interval_set_seq(mni, cur_seq);
	mutex_unlock(&t->mutex);
	return true;
}

/* 2: range check, then refusal */
static int good_check_first(struct mmu_notifier *mn,
			    const struct mmu_notifier_range *range)
{
	struct thing *t = container_of(mn, struct thing, mn);

	if (range->end <= t->start || range->start >= t->end)
		return 0;
	if (!mmu_notifier_range_blockable(range))
		return -EAGAIN;
	mutex_lock(&t->mutex);
	zap(t);
	wait_event(t->wq, t->idle);
	mutex_unlock(&t->mutex);
	return 0;
}

/* 3: spinlocks only */
static bool good_spin(struct mmu_interval_notifier *mni,
		      const struct mmu_notifier_range *range,
		      unsigned long cur_seq)
{
	struct thing *t = container_of(mni, struct thing, notifier);
	unsigned long flags;

	spin_lock_irqsave(&t->lock, flags);
	mmu_interval_set_seq(mni, cur_seq);
	list_del_init(&t->list);
	spin_unlock_irqrestore(&t->lock, flags);
	schedule_work(&t->work);
	return true;
}

/* 4: state test, then test, then mutex */
static bool good_state(struct mmu_interval_notifier *mni,
		       const struct mmu_notifier_range *range,
		       unsigned long cur_seq)
{
	struct thing *t = container_of(mni, struct thing, notifier);

	if (!t->bound)
		return true;
	if (!mmu_notifier_range_blockable(range)) {
		pr_debug("refused\n");
		return false;
	}
	mutex_lock(&t->mutex);
	dma_fence_wait(t->fence, false);
	mutex_unlock(&t->mutex);
	return true;
}

/* 5: helper that is told, and tests; allocation that does not wait */
static int helper_told(struct thing *t, bool may_block)
{
	if (!may_block)
		return -EAGAIN;
	mutex_lock(&t->mutex);
	mutex_unlock(&t->mutex);
	return 0;
}

static int good_told(struct mmu_notifier *mn,
		     const struct mmu_notifier_range *range)
{
	struct thing *t = container_of(mn, struct thing, mn);
	void *p = kmalloc(16, GFP_NOWAIT);

	kfree(p);
	if (range->end <= t->start)
		return 0;
	return helper_told(t, mmu_notifier_range_blockable(range));
}

/* 6: helper that tests the range by itself */
static bool helper_range(struct thing *t, const struct mmu_notifier_range *range)
{
	if (!t->busy)
		return true;
	if (!mmu_notifier_range_blockable(range))
		return false;
	wait_for_completion(&t->done);
	return true;
}

static bool good_helper(struct mmu_interval_notifier *mni,
			const struct mmu_notifier_range *range,
			unsigned long cur_seq)
{
	struct thing *t = container_of(mni, struct thing, notifier);

	return helper_range(t, range);
}

/* 7: a second lock, tried too; sleeps in the blockable branch */
static bool good_two(struct mmu_interval_notifier *mni,
		     const struct mmu_notifier_range *range,
		     unsigned long cur_seq)
{
	struct thing *t = container_of(mni, struct thing, notifier);

	if (mmu_notifier_range_blockable(range)) {
		down_write(&t->sem);
		flush_work(&t->work);
	} else if (!down_write_trylock(&t->sem)) {
		return false;
	}
	if (!mmu_notifier_range_blockable(range)) {
		if (!mutex_trylock(&t->mutex)) {
			up_write(&t->sem);
			return false;
		}
	} else {
		mutex_lock(&t->mutex);
	}
	mmu_interval_set_seq(mni, cur_seq);
	mutex_unlock(&t->mutex);
	up_write(&t->sem);
	return true;
}

/* 8: the test in a condition */
static bool good_cond(struct mmu_interval_notifier *mni,
		      const struct mmu_notifier_range *range,
		      unsigned long cur_seq)
{
	struct thing *t = container_of(mni, struct thing, notifier);

	if (range->event == MMU_NOTIFY_RELEASE)
		return true;
	if (mmu_notifier_range_blockable(range))
		mutex_lock(&t->mutex);
	else
		return false;
	msleep(1);
	mutex_unlock(&t->mutex);
	return true;
}

/* 9: not a callback */
static int not_a_callback(struct thing *t)
{
	mutex_lock(&t->mutex);
	mutex_unlock(&t->mutex);
	return 0;
}

/* 10: an end that only wakes */
static void good_end(struct mmu_notifier *mn,
		     const struct mmu_notifier_range *range)
{
	struct thing *t = container_of(mn, struct thing, mn);

	if (atomic_dec_and_test(&t->active))
		wake_up_all(&t->wq);
}

/* 11: refused in a loop, per object that is in the range */
static int good_loop(struct mmu_notifier *mn,
		     const struct mmu_notifier_range *range)
{
	struct thing *t;

	spin_lock(&things_lock);
	list_for_each_entry(t, &things, list) {
		if (t->end <= range->start)
			continue;
		if (!mmu_notifier_range_blockable(range)) {
			spin_unlock(&things_lock);
			return -EAGAIN;
		}
	}
	spin_unlock(&things_lock);
	return 0;
}

static const struct mmu_interval_notifier_ops ops1 = {
	.invalidate = good_trylock,
};
static const struct mmu_notifier_ops ops2 = {
	.invalidate_range_start = good_check_first,
	.invalidate_range_end = good_end,
};

/* 12: goto */
static bool good_goto(struct mmu_interval_notifier *mni,
		      const struct mmu_notifier_range *range,
		      unsigned long cur_seq)
{
	struct thing *t = container_of(mni, struct thing, notifier);
	bool ret = true;

	if (!t->bound)
		goto out;
	if (!mmu_notifier_range_blockable(range)) {
		ret = false;
		goto out;
	}
	mutex_lock(&t->mutex);
	mmu_interval_set_seq(mni, cur_seq);
	mutex_unlock(&t->mutex);
out:
	return ret;
}

/* 13: the result is stored */
static bool good_stored(struct mmu_interval_notifier *mni,
			const struct mmu_notifier_range *range,
			unsigned long cur_seq)
{
	struct thing *t = container_of(mni, struct thing, notifier);
	bool may_block = mmu_notifier_range_blockable(range);

	if (may_block)
		mutex_lock(&t->mutex);
	else if (!mutex_trylock(&t->mutex))
		return false;
	mutex_unlock(&t->mutex);
	return true;
}

/* 14: no braces */
static bool good_bare(struct mmu_interval_notifier *mni,
		      const struct mmu_notifier_range *range,
		      unsigned long cur_seq)
{
	struct thing *t = container_of(mni, struct thing, notifier);

	if (!mmu_notifier_range_blockable(range))
		pr_debug("is not flushed\n");
	else
		flush_work(&t->work);
	if (t->dead || !mmu_notifier_range_blockable(range))
		return true;
	msleep(1);
	return true;
}
