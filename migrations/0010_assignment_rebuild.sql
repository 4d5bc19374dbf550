-- A rebuild of assignments from the topic moves the outbox counter past every revision that the topic has.
GRANT USAGE, SELECT, UPDATE ON SEQUENCE exp.assignment_outbox_id_seq TO operator;
