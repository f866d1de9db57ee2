BEGIN TRANSACTION;
CREATE TABLE artifacts (
	id INTEGER NOT NULL, 
	trial_id INTEGER NOT NULL, 
	path TEXT NOT NULL, 
	target TEXT NOT NULL, 
	digest VARCHAR(64) NOT NULL, 
	created_at DATETIME NOT NULL, verified_at DATETIME, 
	CONSTRAINT pk_artifacts PRIMARY KEY (id), 
	CONSTRAINT fk_artifacts_trial_id_trials FOREIGN KEY(trial_id) REFERENCES trials (id)
);
INSERT INTO "artifacts" VALUES(1,1,'/work/demo.nas','x86-64-v3','cdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcd','2026-11-29 10:37:09.343805','2026-11-20 00:00:00.000000');
CREATE TABLE bitnas_version (
	version_num VARCHAR(32) NOT NULL, 
	CONSTRAINT bitnas_version_pkc PRIMARY KEY (version_num)
);
INSERT INTO "bitnas_version" VALUES('0014');
CREATE TABLE checkpoints (
	trial_id INTEGER NOT NULL, 
	epoch INTEGER NOT NULL, 
	tensors BLOB NOT NULL, 
	CONSTRAINT pk_checkpoints PRIMARY KEY (trial_id), 
	CONSTRAINT fk_checkpoints_trial_id_trials FOREIGN KEY(trial_id) REFERENCES trials (id)
);
INSERT INTO "checkpoints" VALUES(3,1,X'636865636B706F696E74');
CREATE TABLE devices (
	id INTEGER NOT NULL, 
	name VARCHAR(255) NOT NULL, 
	target TEXT, 
	description JSON, 
	created_at DATETIME NOT NULL, 
	CONSTRAINT pk_devices PRIMARY KEY (id), 
	CONSTRAINT uq_devices_name UNIQUE (name)
);
INSERT INTO "devices" VALUES(1,'cpu | 1 thread','llvm','{"cpu": "model", "features": ["avx2"]}','2026-11-29 10:37:09.347908');
CREATE TABLE epochs (
	trial_id INTEGER NOT NULL, 
	epoch INTEGER NOT NULL, 
	train_loss DOUBLE, 
	accuracy DOUBLE, 
	seconds DOUBLE NOT NULL, reported JSON, 
	CONSTRAINT pk_epochs PRIMARY KEY (trial_id, epoch), 
	CONSTRAINT fk_epochs_trial_id_trials FOREIGN KEY(trial_id) REFERENCES trials (id)
);
INSERT INTO "epochs" VALUES(1,1,2.0,0.5,0.25,'{}');
INSERT INTO "epochs" VALUES(1,2,1.0,6.00000000000000088817e-01,0.25,'{}');
INSERT INTO "epochs" VALUES(3,1,2.0,0.5,0.25,'{}');
INSERT INTO "epochs" VALUES(4,1,2.0,0.5,0.25,'{}');
CREATE TABLE known_devices (
	id INTEGER NOT NULL, 
	name VARCHAR(64) NOT NULL, 
	record JSON NOT NULL, 
	description JSON, 
	probed_at DATETIME, 
	created_at DATETIME NOT NULL, 
	CONSTRAINT pk_known_devices PRIMARY KEY (id), 
	CONSTRAINT uq_known_devices_name UNIQUE (name)
);
INSERT INTO "known_devices" VALUES(1,'board','{"name": "board", "reach": "local", "address": "", "key": "", "target": "native", "threads": 1}',NULL,NULL,'2026-11-29 10:37:09.365964');
CREATE TABLE measurements (
	id INTEGER NOT NULL, 
	device_id INTEGER NOT NULL, 
	workload TEXT NOT NULL, 
	milliseconds DOUBLE NOT NULL, 
	iqr_ms DOUBLE NOT NULL, 
	samples INTEGER NOT NULL, 
	date VARCHAR(64) NOT NULL, 
	tvm_version VARCHAR(64) NOT NULL, schedule VARCHAR(64) DEFAULT '' NOT NULL, cold_ms DOUBLE, conditions JSON, code_bytes INTEGER, 
	CONSTRAINT pk_measurements PRIMARY KEY (id), 
	CONSTRAINT fk_measurements_device_id_devices FOREIGN KEY(device_id) REFERENCES devices (id)
);
INSERT INTO "measurements" VALUES(1,1,'conv2d(a)',1.0,0.1,12,'2026-11-20T10:00:00+00:00','0.27.0','',NULL,'{}',NULL);
CREATE TABLE network_measurements (
	id INTEGER NOT NULL, 
	device_id INTEGER NOT NULL, 
	purpose VARCHAR(16) NOT NULL, 
	workloads JSON NOT NULL, 
	milliseconds DOUBLE NOT NULL, 
	iqr_ms DOUBLE NOT NULL, 
	samples INTEGER NOT NULL, 
	date VARCHAR(64) NOT NULL, 
	tvm_version VARCHAR(64) NOT NULL, 
	conditions JSON, 
	CONSTRAINT pk_network_measurements PRIMARY KEY (id), 
	CONSTRAINT fk_network_measurements_device_id_devices FOREIGN KEY(device_id) REFERENCES devices (id)
);
INSERT INTO "network_measurements" VALUES(1,1,'calibration','["conv2d(a)"]',1.0,0.1,12,'2026-11-20T10:00:00+00:00','0.27.0','{}');
CREATE TABLE predictions (
	trial_id INTEGER NOT NULL, 
	summary JSON NOT NULL, 
	CONSTRAINT pk_predictions PRIMARY KEY (trial_id), 
	CONSTRAINT fk_predictions_trial_id_trials FOREIGN KEY(trial_id) REFERENCES trials (id)
);
INSERT INTO "predictions" VALUES(1,'{"classes": 2, "images": 5, "right": 4, "counts": [[0, 0, 3], [1, 0, 1], [1, 1, 1]], "worst": [{"image": 4, "true": 1, "predicted": 0, "probability": 0.75}]}');
CREATE TABLE searches (
	id INTEGER NOT NULL, 
	name VARCHAR(64) NOT NULL, 
	config JSON NOT NULL, 
	created_at DATETIME NOT NULL, revision INTEGER DEFAULT '0' NOT NULL, ended TEXT, origin JSON, 
	CONSTRAINT pk_searches PRIMARY KEY (id), 
	CONSTRAINT uq_searches_name UNIQUE (name)
);
INSERT INTO "searches" VALUES(1,'demo','{"space": "tiny", "data": "digits", "device": "local", "trials": 5, "epochs": 2, "sampler": "auto", "seed": 0, "max_latency_ms": 2.0, "max_size_kb": null, "pruner": "none", "when_away": "wait", "image_size": null, "max_latency_share": null, "median_latency_ms": null, "measure": "front", "batch_size": null, "learning_rate": null, "objectives": ["accuracy", "latency", "size"], "max_memory_kb": null, "max_macs": null, "limits": {}, "evaluator": "training", "repeats": 1, "audit": 0, "first": [], "limit_shares": {}, "medians": {}, "fix": {}, "only": {}}','2026-11-29 10:37:06.541526',17,NULL,NULL);
CREATE TABLE trials (
	id INTEGER NOT NULL, 
	search_id INTEGER NOT NULL, 
	number INTEGER NOT NULL, 
	state VARCHAR(16) NOT NULL, 
	owner TEXT, 
	expires_at DATETIME, 
	fence INTEGER NOT NULL, 
	choices JSON, 
	architecture TEXT, 
	digest VARCHAR(64), 
	latency_ms DOUBLE, 
	latency_by_workload JSON, 
	size_kb DOUBLE, 
	accuracy DOUBLE, 
	measured_latency_ms DOUBLE, 
	error TEXT, 
	started_at DATETIME, 
	finished_at DATETIME, estimated JSON, measured_low_ms DOUBLE, measured_high_ms DOUBLE, measured_disturbed TEXT, latency_low_ms DOUBLE, latency_high_ms DOUBLE, measuring_s DOUBLE, costs JSON, budget INTEGER, epochs_done INTEGER, accuracies JSON, same_as TEXT, passed_over INTEGER DEFAULT '0' NOT NULL, passed_samples JSON, revision INTEGER DEFAULT '0' NOT NULL, losses JSON, doubt INTEGER DEFAULT '0' NOT NULL, parents JSON, 
	CONSTRAINT pk_trials PRIMARY KEY (id), 
	CONSTRAINT fk_trials_search_id_searches FOREIGN KEY(search_id) REFERENCES searches (id), 
	CONSTRAINT uq_trials_search_id_number UNIQUE (search_id, number), 
	CONSTRAINT ck_trials_state CHECK (state IN ('queued', 'running', 'paused', 'complete', 'infeasible', 'pruned', 'failed'))
);
INSERT INTO "trials" VALUES(1,1,0,'complete','lab|4242|1000|boot-1/4026531836',NULL,2,'{"stem.width": 32, "stage1.block": "shuffle", "stage1.width": 48, "stage1.kernel": 5, "stage1.stride": 2, "stage1.groups": 2, "stage1.repeats": 2, "stage1.repeat0.reduce.precision": "int8", "stage1.repeat0.depthwise.precision": "int8", "stage1.repeat0.expand.precision": "int8", "stage1.repeat1.reduce.precision": "int8", "stage1.repeat1.depthwise.precision": "int8", "stage1.repeat1.expand.precision": "int8", "stage2.block": "shuffle", "stage2.width": 96, "stage2.kernel": 5, "stage2.stride": 2, "stage2.groups": 2, "stage2.repeats": 2, "stage2.repeat0.reduce.precision": "int8", "stage2.repeat0.depthwise.precision": "int8", "stage2.repeat0.expand.precision": "int8", "stage2.repeat1.reduce.precision": "int8", "stage2.repeat1.depthwise.precision": "int8", "stage2.repeat1.expand.precision": "int8"}','{"blocks":[{"groups":2,"kernel":5,"kind":"shuffle","precisions":{"depthwise":"int8","expand":"int8","reduce":"int8"},"stride":2,"width":48},{"groups":2,"kernel":5,"kind":"shuffle","precisions":{"depthwise":"int8","expand":"int8","reduce":"int8"},"stride":1,"width":48},{"groups":2,"kernel":5,"kind":"shuffle","precisions":{"depthwise":"int8","expand":"int8","reduce":"int8"},"stride":2,"width":96},{"groups":2,"kernel":5,"kind":"shuffle","precisions":{"depthwise":"int8","expand":"int8","reduce":"int8"},"stride":1,"width":96}],"classes":10,"head":{"precision":"float"},"input_shape":[1,8,8],"space":"tiny","stem":{"kernel":3,"precision":"float","stride":1,"width":32}}','e85a24ba4e5b993623a0d4976148d0d503712167ff4b829753286a008c186abb',1.5,'[["conv2d(a)", 1.0], ["dense(b)", 0.5]]',12.0,0.6,1.0,NULL,'2026-11-29 10:37:09.291721','2026-11-29 10:37:09.306310','["dense(b)"]',0.9,1.1,NULL,1.25,1.75,0.5,'{"macs": {"value": 1000.0, "low": 1000.0, "high": 1000.0, "estimated": 0}}',NULL,2,NULL,NULL,0,NULL,7,NULL,0,NULL);
INSERT INTO "trials" VALUES(2,1,1,'infeasible','lab|4242|1000|boot-1/4026531836',NULL,1,'{"stem.width": 16, "stage1.block": "fire", "stage1.width": 32, "stage1.kernel": 3, "stage1.stride": 1, "stage1.repeats": 1, "stage1.repeat0.squeeze.precision": "ternary", "stage1.repeat0.expand1.precision": "ternary", "stage1.repeat0.expand3.precision": "ternary", "stage2.block": "fire", "stage2.width": 64, "stage2.kernel": 3, "stage2.stride": 1, "stage2.repeats": 1, "stage2.repeat0.squeeze.precision": "ternary", "stage2.repeat0.expand1.precision": "ternary", "stage2.repeat0.expand3.precision": "ternary"}','{"blocks":[{"groups":1,"kernel":3,"kind":"fire","precisions":{"expand1":"ternary","expand3":"ternary","squeeze":"ternary"},"stride":1,"width":32},{"groups":1,"kernel":3,"kind":"fire","precisions":{"expand1":"ternary","expand3":"ternary","squeeze":"ternary"},"stride":1,"width":64}],"classes":10,"head":{"precision":"float"},"input_shape":[1,8,8],"space":"tiny","stem":{"kernel":3,"precision":"float","stride":1,"width":16}}','70a414dfca5347eda99c56e42db738a4e137f1aa03f6b16aec0d1dcbcbcfd207',1.5,'[["conv2d(a)", 1.0], ["dense(b)", 0.5]]',12.0,NULL,NULL,'latency 3 ms is over the limit of 2 ms','2026-11-29 10:37:09.323355','2026-11-29 10:37:09.324878','["dense(b)"]',NULL,NULL,NULL,1.25,1.75,0.5,'{"macs": {"value": 1000.0, "low": 1000.0, "high": 1000.0, "estimated": 0}}',NULL,NULL,NULL,NULL,0,NULL,10,NULL,0,'[0]');
INSERT INTO "trials" VALUES(3,1,2,'paused',NULL,NULL,1,'{"stem.width": 32, "stage1.block": "separable", "stage1.width": 48, "stage1.kernel": 5, "stage1.stride": 2, "stage1.repeats": 2, "stage1.repeat0.depthwise.precision": "binary", "stage1.repeat0.pointwise.precision": "binary", "stage1.repeat1.depthwise.precision": "binary", "stage1.repeat1.pointwise.precision": "binary", "stage2.block": "separable", "stage2.width": 96, "stage2.kernel": 5, "stage2.stride": 2, "stage2.repeats": 2, "stage2.repeat0.depthwise.precision": "binary", "stage2.repeat0.pointwise.precision": "binary", "stage2.repeat1.depthwise.precision": "binary", "stage2.repeat1.pointwise.precision": "binary"}','{"blocks":[{"groups":1,"kernel":5,"kind":"separable","precisions":{"depthwise":"binary","pointwise":"binary"},"stride":2,"width":48},{"groups":1,"kernel":5,"kind":"separable","precisions":{"depthwise":"binary","pointwise":"binary"},"stride":1,"width":48},{"groups":1,"kernel":5,"kind":"separable","precisions":{"depthwise":"binary","pointwise":"binary"},"stride":2,"width":96},{"groups":1,"kernel":5,"kind":"separable","precisions":{"depthwise":"binary","pointwise":"binary"},"stride":1,"width":96}],"classes":10,"head":{"precision":"float"},"input_shape":[1,8,8],"space":"tiny","stem":{"kernel":3,"precision":"float","stride":1,"width":32}}','e2b8c000555cf7e7ae90dc03d7c65377c22d891e4d85d09cd4e568e345a0f69b',1.5,'[["conv2d(a)", 1.0], ["dense(b)", 0.5]]',12.0,0.5,NULL,NULL,'2026-11-29 10:37:09.327347',NULL,'["dense(b)"]',NULL,NULL,NULL,1.25,1.75,0.5,'{"macs": {"value": 1000.0, "low": 1000.0, "high": 1000.0, "estimated": 0}}',NULL,1,NULL,NULL,0,NULL,14,NULL,0,NULL);
INSERT INTO "trials" VALUES(4,1,3,'running','lab|4242|1000|boot-1/4026531836','2026-11-20 00:01:00.000000',1,'{"stem.width": 16, "stage1.block": "shuffle", "stage1.width": 32, "stage1.kernel": 3, "stage1.stride": 1, "stage1.groups": 2, "stage1.repeats": 1, "stage1.repeat0.reduce.precision": "dithered", "stage1.repeat0.depthwise.precision": "dithered", "stage1.repeat0.expand.precision": "dithered", "stage2.block": "shuffle", "stage2.width": 64, "stage2.kernel": 3, "stage2.stride": 1, "stage2.groups": 2, "stage2.repeats": 1, "stage2.repeat0.reduce.precision": "dithered", "stage2.repeat0.depthwise.precision": "dithered", "stage2.repeat0.expand.precision": "dithered"}','{"blocks":[{"groups":2,"kernel":3,"kind":"shuffle","precisions":{"depthwise":"dithered","expand":"dithered","reduce":"dithered"},"stride":1,"width":32},{"groups":2,"kernel":3,"kind":"shuffle","precisions":{"depthwise":"dithered","expand":"dithered","reduce":"dithered"},"stride":1,"width":64}],"classes":10,"head":{"precision":"float"},"input_shape":[1,8,8],"space":"tiny","stem":{"kernel":3,"precision":"float","stride":1,"width":16}}','ebf7e88d52bff780e7b1ead47c4cdf40b61bc09e03ad1cf4603cb0560c250a21',1.5,'[["conv2d(a)", 1.0], ["dense(b)", 0.5]]',12.0,NULL,NULL,NULL,'2026-11-29 10:37:09.339327',NULL,'["dense(b)"]',NULL,NULL,NULL,1.25,1.75,0.5,'{"macs": {"value": 1000.0, "low": 1000.0, "high": 1000.0, "estimated": 0}}',NULL,1,NULL,NULL,0,NULL,17,NULL,0,NULL);
INSERT INTO "trials" VALUES(5,1,4,'queued',NULL,NULL,0,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,0,NULL,0,NULL,0,NULL);
CREATE TABLE weights (
	trial_id INTEGER NOT NULL, 
	tensors BLOB NOT NULL, 
	CONSTRAINT pk_weights PRIMARY KEY (trial_id), 
	CONSTRAINT fk_weights_trial_id_trials FOREIGN KEY(trial_id) REFERENCES trials (id)
);
INSERT INTO "weights" VALUES(1,X'080074656E736F7273');
CREATE TABLE workers (
	id INTEGER NOT NULL, 
	search_id INTEGER NOT NULL, 
	owner VARCHAR(255) NOT NULL, 
	versions JSON NOT NULL, 
	stage TEXT NOT NULL, 
	joined_at DATETIME NOT NULL, 
	seen_at DATETIME NOT NULL, 
	ended_at DATETIME, 
	CONSTRAINT pk_workers PRIMARY KEY (id), 
	CONSTRAINT fk_workers_search_id_searches FOREIGN KEY(search_id) REFERENCES searches (id), 
	CONSTRAINT uq_workers_search_id_owner UNIQUE (search_id, owner)
);
INSERT INTO "workers" VALUES(1,1,'lab|4242|1000|boot-1/4026531836','{"bitnas": "0.1.0"}','starting','2026-11-29 10:37:09.373978','2026-11-29 10:37:09.373978',NULL);
CREATE INDEX ix_measurements_device_id_workload ON measurements (device_id, workload);
CREATE INDEX ix_network_measurements_device_id ON network_measurements (device_id);
CREATE INDEX ix_trials_search_id_revision ON trials (search_id, revision);
CREATE INDEX ix_trials_search_id_state_number ON trials (search_id, state, number);
CREATE INDEX ix_trials_search_id_digest ON trials (search_id, digest);
COMMIT;
