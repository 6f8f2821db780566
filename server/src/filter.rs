//! The filter language of ListTasks and WatchTasks.
