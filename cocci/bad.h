static inline void thing_lock(struct thing *t)
{
	mutex_lock(&t->mutex);
	t->flags = memalloc_noreclaim_save();
}

static inline void thing_unlock(struct thing *t)
{
	mutex_unlock(&t->mutex);
}
