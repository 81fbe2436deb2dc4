output "lake" {
  description = "Address of the lake, for SANYU_LAKE."
  value       = "s3a://${aws_s3_bucket.lake.bucket}/"
}

output "bucket" {
  description = "Name of the bucket."
  value       = aws_s3_bucket.lake.bucket
}

output "roles" {
  description = "ARNs of the roles: writer, reader, consumer."
  value       = { for name, role in aws_iam_role.lake : name => role.arn }
}
