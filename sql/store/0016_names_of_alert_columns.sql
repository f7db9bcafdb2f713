-- When an alert was last sent, and when a run's findings were made alerts, by the words of the field.
ALTER TABLE maintenance.alert RENAME COLUMN told_at TO notified_at;
ALTER TABLE maintenance.run RENAME COLUMN judged_at TO processed_at;
