DROP TABLE pruned_requests;
